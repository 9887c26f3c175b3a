/* The E-model of ITU-T G.107, simplified for one-way delay and random loss: shown as "estimated audio MOS,
 * narrowband E-model".
 *
 *   R      = R0 - Id - Ie-eff                       R0 = 93.2, clamped to 0..100
 *   Id     = 0.024 d + 0.11 (d - 177.3) H(d - 177.3)     d: one-way delay in ms, H: 0 below zero, else 1
 *   Ie-eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)   Ie = 0, Bpl = 10, BurstR = 1, Ppl: loss in per cent
 *   MOS    = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R)     1 at R <= 0, 4.5 at R >= 100
 *
 * Id is Cole and Rosenbluth's fit to G.107 (Voice over IP performance monitoring, 2001). Check points: 100 ms
 * and 1 % give 4.10, 150 ms and 2 % 3.77, 200 ms and 5 % 2.80.
 *
 * Threads: pure. */
#ifndef BW_QUALITY_MOS_H
#define BW_QUALITY_MOS_H

/* 0 to 100. Delay in ms, at least 0; loss in per cent, 0 to 100. */
double bw_quality_r(double one_way_ms, double loss_percent);
/* 1.0 to 4.5. */
double bw_quality_mos(double r);

#endif
