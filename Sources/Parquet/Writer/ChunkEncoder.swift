import CZlib
import CZstd

/// What the footer says of a column chunk.
struct ChunkSummary {
  var statistics: ChunkStatistics
  var valueCount: Int
  var dataPageCount = 0
  /// Bytes with the pages' headers.
  var uncompressedBytes = 0
  var compressedBytes = 0
  /// From the chunk's start; nil without a dictionary.
  var dictionaryPageOffset: Int?
  var dataPageOffset = 0
}

/// Encodes column chunks: a dictionary page if it pays, then data pages of version 1, which all readers know.
struct ChunkEncoder: ~Copyable {
  private let pageBytes: Int
  private let dictionaryBytesMax: Int
  private let level: Int32
  private let context: OpaquePointer
  private var page = ByteBuffer()
  private var packed = ByteBuffer()

  init(pageBytes: Int, dictionaryBytesMax: Int, level: Int32) {
    self.pageBytes = pageBytes
    self.dictionaryBytesMax = dictionaryBytesMax
    self.level = level
    guard let created = ZSTD_createCCtx() else { preconditionFailure("Cannot start zstd: out of memory") }
    context = created
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Appends the chunk's pages.
  mutating func encode(_ column: borrowing ColumnBuffer, to output: inout ByteBuffer) -> ChunkSummary {
    column.withValues { values in
      let dictionary = ValueDictionary(values, bytesMax: dictionaryBytesMax)
      let statistics = ChunkStatistics(values, distinct: dictionary?.firsts, nullCount: column.nullCount)
      var summary = ChunkSummary(statistics: statistics, valueCount: column.slotCount)
      let start = output.count
      if let dictionary {
        summary.dictionaryPageOffset = 0
        appendDictionary(dictionary, values, to: &output, &summary)
      }
      summary.dataPageOffset = output.count - start
      var slots = 0..<0
      var indices = 0..<0
      repeat {
        (slots, indices) = nextPage(column, values, after: slots.upperBound, indices.upperBound)
        appendData(column, values, dictionary, slots, indices, to: &output, &summary)
      } while slots.upperBound < column.slotCount
      summary.compressedBytes = output.count - start
      return summary
    }
  }

  /// Slots and values of the page that starts there. It ends between rows.
  private func nextPage(
    _ column: borrowing ColumnBuffer, _ values: ColumnValues, after slotStart: Int, _ valueStart: Int
  ) -> (Range<Int>, Range<Int>) {
    var slot = slotStart
    var value = valueStart
    var bytes = 0
    while slot < column.slotCount {
      let beginsRow = column.levels.repetitionMax == 0 || column.repetitions[slot] == 0
      if beginsRow && (bytes >= pageBytes || (slot - slotStart) * 8 >= pageBytes) { break }
      if column.levels.definitionMax == 0 || column.definitions[slot] == column.levels.definitionMax {
        bytes += values.plainBytes(value)
        value += 1
      }
      slot += 1
    }
    return (slotStart..<slot, valueStart..<value)
  }

  private mutating func appendDictionary(
    _ dictionary: ValueDictionary, _ values: ColumnValues, to output: inout ByteBuffer,
    _ summary: inout ChunkSummary
  ) {
    page.removeAll()
    for first in dictionary.firsts { values.appendPlain(Int(first), to: &page) }
    let count = Int32(dictionary.firsts.count)
    appendPage(.dictionary, to: &output, &summary) { header in
      header.structure(7) {
        $0.int32(1, count)
        $0.int32(2, Encoding.plain.rawValue)
      }
    }
  }

  private mutating func appendData(
    _ column: borrowing ColumnBuffer, _ values: ColumnValues, _ dictionary: ValueDictionary?,
    _ slots: Range<Int>, _ indices: Range<Int>, to output: inout ByteBuffer, _ summary: inout ChunkSummary
  ) {
    page.removeAll()
    appendLevels(column.repetitions, slots, max: column.levels.repetitionMax)
    appendLevels(column.definitions, slots, max: column.levels.definitionMax)
    if let dictionary {
      let width = HybridEncoder.width(of: dictionary.firsts.count - 1)
      page.append(UInt8(width))
      dictionary.indices.withUnsafeBufferPointer {
        HybridEncoder.append(UnsafeBufferPointer(rebasing: $0[indices]), width: width, to: &page)
      }
    } else {
      values.appendPlain(indices, to: &page)
    }
    summary.dataPageCount += 1
    appendPage(.data, to: &output, &summary) { header in
      header.structure(5) {
        $0.int32(1, Int32(slots.count))
        $0.int32(2, (dictionary == nil ? Encoding.plain : .rleDictionary).rawValue)
        $0.int32(3, Encoding.rle.rawValue)
        $0.int32(4, Encoding.rle.rawValue)
      }
    }
  }

  private mutating func appendLevels(_ levels: [UInt8], _ slots: Range<Int>, max: UInt8) {
    guard max > 0 else { return }
    let start = page.count
    page.append(word: UInt32(0))
    levels.withUnsafeBufferPointer {
      let width = HybridEncoder.width(of: Int(max))
      HybridEncoder.append(UnsafeBufferPointer(rebasing: $0[slots]), width: width, to: &page)
    }
    page.replace(at: start, with: UInt32(page.count - start - 4))
  }

  /// Compresses what is in `page` and appends it behind its header.
  private mutating func appendPage(
    _ type: PageType, to output: inout ByteBuffer, _ summary: inout ChunkSummary,
    _ specifics: (inout ThriftWriter) -> Void
  ) {
    compressPage()
    var header = ThriftWriter()
    header.element {
      $0.int32(1, type.rawValue)
      $0.int32(2, Int32(page.count))
      $0.int32(3, Int32(packed.count))
      $0.int32(4, Int32(bitPattern: checksum(packed.bytes)))
      specifics(&$0)
    }
    header.bytes.withUnsafeBytes { output.append($0) }
    output.append(packed.bytes)
    summary.uncompressedBytes += header.bytes.count + page.count
  }

  private mutating func compressPage() {
    let plain = page.bytes
    let (context, level) = (context, level)
    packed.removeAll()
    packed.append(atMost: ZSTD_compressBound(plain.count)) { room in
      let count = ZSTD_compressCCtx(
        context, room.baseAddress, room.count, plain.baseAddress, plain.count, level)
      precondition(
        ZSTD_isError(count) == 0, "Cannot compress a page: \(String(cString: ZSTD_getErrorName(count)))")
      return count
    }
  }
}

/// The CRC-32 of a page as it is stored (parquet-format, README.md, "Checksumming").
func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count))
}
