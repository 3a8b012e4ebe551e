#include <lzma.h>

// A macro that Swift doesn't import.
static inline lzma_stream plumb_lzma_stream_init(void) {
  lzma_stream stream = LZMA_STREAM_INIT;
  return stream;
}
