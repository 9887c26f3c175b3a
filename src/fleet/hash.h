/* Hash tables of this room: see base/hash.h. */
#ifndef BW_FLEET_HASH_H
#define BW_FLEET_HASH_H

#include "base/hash.h"

#endif
