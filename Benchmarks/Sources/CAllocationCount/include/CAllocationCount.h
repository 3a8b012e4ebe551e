#ifndef C_ALLOCATION_COUNT_H
#define C_ALLOCATION_COUNT_H

#include <stdint.h>

/// Blocks that this thread has asked of the C allocator so far, by malloc and all its kin.
uint64_t allocation_count(void);

#endif
