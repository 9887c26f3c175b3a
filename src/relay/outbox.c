#include "relay/outbox.h"

#include "base/check.h"

void bw_outbox_flush(struct bw_outbox *outbox)
{
    if (outbox->count == 0)
        return;
    outbox->flush(outbox->context, outbox);
    outbox->count = 0;
}

struct bw_outgoing *bw_outbox_next(struct bw_outbox *outbox)
{
    if (outbox->count == BW_OUTBOX_SIZE)
        bw_outbox_flush(outbox);
    BW_CHECK(outbox->count < BW_OUTBOX_SIZE);
    return &outbox->items[outbox->count++];
}
