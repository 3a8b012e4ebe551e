#ifndef C_ALLOCATION_COUNT_H
#define C_ALLOCATION_COUNT_H

#include <stdint.h>

/// Blocks that this thread has asked of the C allocator so far, by malloc and all its kin.
uint64_t allocation_count(void);
/// Bytes that the process has been given and has not given back. Unlike the resident size it can go down.
uint64_t allocated_bytes(void);

#endif
