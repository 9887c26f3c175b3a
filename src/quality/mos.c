#include "quality/mos.h"

static const double R0 = 93.2;
/* G.711 with concealment: no impairment of its own, robust to Bpl = 10 per cent of random loss. */
static const double IE = 0, BPL = 10, BURST_R = 1;

double bw_quality_r(double one_way_ms, double loss_percent)
{
    double id = 0.024 * one_way_ms;
    if (one_way_ms > 177.3)
        id += 0.11 * (one_way_ms - 177.3);
    double ie_eff = IE + (95 - IE) * loss_percent / (loss_percent / BURST_R + BPL);
    double r = R0 - id - ie_eff;
    if (r < 0)
        return 0;
    return r > 100 ? 100 : r;
}

double bw_quality_mos(double r)
{
    if (r <= 0)
        return 1;
    if (r >= 100)
        return 4.5;
    double mos = 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r);
    return mos < 1 ? 1 : mos; /* the cubic dips below 1 where R is under 7 */
}
