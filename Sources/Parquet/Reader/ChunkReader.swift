import FeatureCore

/// Reads one column chunk page by page. A class, because a reader has many and each changes in place.
final class ChunkReader {
  private static let windowBytes = 1 << 18
  /// A header with statistics of long texts may be large; one beyond this is damage.
  private static let headerBytesMax = 1 << 24
  private static let pageBytesMax = 1 << 30
  private static let blockSlots = 1024

  let leaf: SchemaLeaf.Readable
  private let codec: Codec
  /// Where the next page begins, and where the chunk ends.
  private var offset: Int
  private let end: Int
  /// Slots of pages that have not been loaded, and of the page that is.
  private var chunkSlotsLeft: Int
  private var pageSlotsLeft = 0

  /// Bytes of the file from `windowStart` on.
  private var window = ByteBuffer()
  private var windowStart = 0
  private var dictionaryPage = ByteBuffer()
  /// Its values, if they have been written anew.
  private var plainDictionary = ByteBuffer()
  private var dictionary = PageValues.Block()
  private var page = ByteBuffer()
  /// Values of the page that have been written anew.
  private var plainPage = ByteBuffer()
  private var uuidPage = ByteBuffer()
  private var definitions: HybridDecoder?
  private var repetitions: HybridDecoder?
  private var values: PageValues?

  /// Slots that have been decoded and not given out.
  private var definitionLevels = [UInt32](repeating: 0, count: blockSlots)
  private var repetitionLevels = [UInt32](repeating: 0, count: blockSlots)
  private var scratch = [UInt32](repeating: 0, count: blockSlots)
  private var block = PageValues.Block()
  private var slot = 0
  private var slotEnd = 0
  private var value = 0
  /// Whether no decoded slot is null.
  private var isFull = true

  init(
    _ leaf: SchemaLeaf.Readable, _ chunk: ChunkMetadata, bytes: Range<Int>
  ) throws(FormatProblem) {
    guard !chunk.isElsewhere else { throw FormatProblem("its values are in another file") }
    guard chunk.type == leaf.physical.rawValue else {
      throw FormatProblem("schema and row group differ in its type")
    }
    guard let codec = Codec(rawValue: chunk.codec) else {
      throw FormatProblem("the codec \(chunk.codec) is unknown")
    }
    switch codec {
    case .lzo, .lz4: throw FormatProblem("the codec \(codec) is not supported")
    case .uncompressed, .snappy, .gzip, .zstd, .brotli, .lz4Raw: break
    }
    // Writers that have no dictionary leave its offset out or say 0.
    let dictionary = chunk.dictionaryPageOffset.flatMap { $0 > 0 ? $0 : nil } ?? chunk.dataPageOffset
    let start = min(dictionary, chunk.dataPageOffset)
    let (end, overflow) = start.addingReportingOverflow(chunk.compressedBytes)
    guard !overflow, start >= bytes.lowerBound, end >= start, end <= bytes.upperBound else {
      throw FormatProblem("its pages lie outside of the file")
    }
    guard let slots = Int(exactly: chunk.valueCount), slots >= 0 else {
      throw FormatProblem("it has a negative count of values")
    }
    self.leaf = leaf
    self.codec = codec
    offset = Int(start)
    self.end = Int(end)
    chunkSlotsLeft = slots
  }

  /// Appends rows to a vector.
  func read(
    rows: Int, to vector: inout ParquetVector, _ input: borrowing ParquetInput,
    _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    var rowsLeft = rows
    while true {
      if slot == slotEnd {
        guard chunkSlotsLeft > 0 || pageSlotsLeft > 0 else { break }
        try readBlock(input, decompressor)
      }
      if isFlat {
        let count = min(rowsLeft, slotEnd - slot)
        appendFlat(count, to: &vector)
        rowsLeft -= count
        if slot < slotEnd { return }
      }
      while slot < slotEnd {
        if repetitionLevels[slot] == 0 {
          if rowsLeft == 0 { return }
          rowsLeft -= 1
        } else if rowsLeft == rows {
          throw FormatProblem("a batch of rows begins inside a list")
        }
        appendSlot(to: &vector)
      }
      try checkSize(vector)
    }
    guard rowsLeft == 0 else { throw FormatProblem("it has \(rowsLeft) rows less than its row group") }
  }

  /// Whether everything has been given out.
  var isAtEnd: Bool { slot == slotEnd && chunkSlotsLeft == 0 && pageSlotsLeft == 0 }

  /// Whether every slot is a row: a value or null.
  private var isFlat: Bool { leaf.levels.repetitionMax == 0 && !leaf.keepsLevels }

  private func appendFlat(_ count: Int, to vector: inout ParquetVector) {
    let end = slot + count
    guard isFull else {
      let full = UInt32(leaf.levels.definitionMax)
      while slot < end {
        appendValue(isNull: definitionLevels[slot] < full, to: &vector)
        slot += 1
      }
      return
    }
    if leaf.column.valueType == .string {
      vector.append(texts: block.texts[value..<(value + count)])
    } else {
      vector.append(words: block.words[value..<(value + count)])
    }
    (slot, value) = (end, value + count)
  }

  private func appendSlot(to vector: inout ParquetVector) {
    let definition = definitionLevels[slot]
    let levels = leaf.levels
    if leaf.keepsLevels {
      vector.append(definition: UInt8(definition), repetition: UInt8(repetitionLevels[slot]))
      slot += 1
      return appendValue(isNull: definition < levels.definitionMax, to: &vector)
    }
    let isElement = levels.repetitionMax == 0 || definition > levels.emptyList
    if levels.repetitionMax > 0 && repetitionLevels[slot] == 0 {
      vector.beginList(isNull: definition < levels.emptyList)
    }
    slot += 1
    guard isElement else { return }
    appendValue(isNull: definition < levels.definitionMax, to: &vector)
    if levels.repetitionMax > 0 { vector.extendList() }
  }

  private func appendValue(isNull: Bool, to vector: inout ParquetVector) {
    if isNull { return vector.appendNull() }
    if leaf.column.valueType == .string {
      vector.append(text: block.texts[value])
    } else {
      vector.append(word: block.words[value])
    }
    value += 1
  }

  /// A few bytes can say that a list has billions of elements.
  private func checkSize(_ vector: ParquetVector) throws(FormatProblem) {
    guard vector.elementCount <= ParquetReader.batchElementsMax,
      vector.textBytes <= ParquetReader.batchTextBytesMax
    else { throw FormatProblem("a few rows are too large to be read at once") }
  }

  private func readBlock(
    _ input: borrowing ParquetInput, _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    while pageSlotsLeft == 0 { try loadPage(input, decompressor) }
    let count = min(pageSlotsLeft, Self.blockSlots)
    pageSlotsLeft -= count
    let levels = leaf.levels
    if repetitions != nil {
      try PageValues.decode(
        &repetitions!, count, maximum: UInt32(levels.repetitionMax), to: &repetitionLevels)
    }
    var valueCount = count
    if definitions != nil {
      let full = UInt32(levels.definitionMax)
      try PageValues.decode(&definitions!, count, maximum: full, to: &definitionLevels)
      valueCount = definitionLevels[..<count].reduce(0) { $0 + ($1 == full ? 1 : 0) }
    }
    block.removeAll()
    try values!.read(valueCount, dictionary: dictionary, scratch: &scratch, to: &block)
    isFull = valueCount == count
    (slot, slotEnd, value) = (0, count, 0)
  }

  /// Loads the next data page, and dictionaries on the way.
  private func loadPage(
    _ input: borrowing ParquetInput, _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    let header = try nextHeader(input)
    let (packed, plain) = (Int(header.compressedBytes), Int(header.uncompressedBytes))
    guard packed >= 0, packed <= end - offset else {
      throw FormatProblem("a page of \(packed) bytes goes beyond its chunk")
    }
    guard plain >= 0, plain <= Self.pageBytesMax else {
      throw FormatProblem("a page of \(plain) bytes is too large")
    }
    let body = try bytes(at: offset, packed, input)
    offset += packed
    if let expected = header.checksum, checksum(body) != UInt32(bitPattern: expected) {
      throw FormatProblem("a page's checksum does not match")
    }
    switch header.type {
    case .dictionary: try loadDictionary(header, body, decompressor)
    case .data: try loadVersion1(header, body, decompressor)
    case .dataV2: try loadVersion2(header, body, decompressor)
    case .index: break
    case nil: throw FormatProblem("a page has an unknown type")
    }
  }

  private func loadDictionary(
    _ header: PageHeader, _ body: UnsafeRawBufferPointer, _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    dictionaryPage.removeAll()
    dictionary.removeAll()
    try decompressor.unpack(body, codec, count: Int(header.uncompressedBytes), to: &dictionaryPage)
    // PLAIN_DICTIONARY is what old writers call PLAIN here.
    let isPlain =
      header.encoding == Encoding.plain.rawValue || header.encoding == Encoding.plainDictionary.rawValue
    guard isPlain, header.valueCount >= 0, leaf.physical != .boolean else {
      throw FormatProblem("the dictionary's encoding is not supported")
    }
    if leaf.conversion == .uuid {
      plainDictionary.removeAll()
      try PlainPages.texts(ofUUIDs: dictionaryPage.bytes, to: &plainDictionary)
    }
    var entries = try PageValues(
      leaf, Encoding.plain.rawValue,
      leaf.conversion == .uuid ? plainDictionary.bytes : dictionaryPage.bytes)
    var noScratch: [UInt32] = []
    try entries.read(
      Int(header.valueCount), dictionary: PageValues.Block(), scratch: &noScratch, to: &dictionary)
  }

  private func loadVersion1(
    _ header: PageHeader, _ body: UnsafeRawBufferPointer, _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    page.removeAll()
    try decompressor.unpack(body, codec, count: Int(header.uncompressedBytes), to: &page)
    var rest = page.bytes
    repetitions = try levels(max: leaf.levels.repetitionMax, header.repetitionEncoding, &rest)
    definitions = try levels(max: leaf.levels.definitionMax, header.definitionEncoding, &rest)
    try begin(header, rest)
  }

  /// A size of four bytes, then the levels.
  private func levels(
    max: UInt8, _ encoding: Int32, _ rest: inout UnsafeRawBufferPointer
  ) throws(FormatProblem) -> HybridDecoder? {
    guard max > 0 else { return nil }
    guard encoding == Encoding.rle.rawValue else {
      throw FormatProblem("levels in the encoding \(encoding) are not supported")
    }
    guard rest.count >= 4 else { throw FormatProblem("a page ends inside its levels") }
    let count = Int(UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self)))
    guard count <= rest.count - 4 else { throw FormatProblem("a page ends inside its levels") }
    let bytes = UnsafeRawBufferPointer(rebasing: rest[4..<(4 + count)])
    rest = UnsafeRawBufferPointer(rebasing: rest[(4 + count)...])
    return HybridDecoder(bytes, width: HybridEncoder.width(of: Int(max)))
  }

  /// The levels are not compressed, the values may be.
  private func loadVersion2(
    _ header: PageHeader, _ body: UnsafeRawBufferPointer, _ decompressor: borrowing Decompressor
  ) throws(FormatProblem) {
    let (repetitionBytes, definitionBytes) = (Int(header.repetitionBytes), Int(header.definitionBytes))
    let levelBytes = repetitionBytes + definitionBytes
    guard repetitionBytes >= 0, definitionBytes >= 0, levelBytes <= body.count,
      levelBytes <= Int(header.uncompressedBytes)
    else { throw FormatProblem("a page ends inside its levels") }
    page.removeAll()
    page.append(UnsafeRawBufferPointer(rebasing: body[..<levelBytes]))
    try decompressor.unpack(
      UnsafeRawBufferPointer(rebasing: body[levelBytes...]), header.isCompressed ? codec : .uncompressed,
      count: Int(header.uncompressedBytes) - levelBytes, to: &page)
    let decoder = { (max: UInt8, range: Range<Int>) in
      max == 0
        ? nil
        : HybridDecoder(
          UnsafeRawBufferPointer(rebasing: self.page.bytes[range]), width: HybridEncoder.width(of: Int(max)))
    }
    repetitions = decoder(leaf.levels.repetitionMax, 0..<repetitionBytes)
    definitions = decoder(leaf.levels.definitionMax, repetitionBytes..<levelBytes)
    try begin(header, UnsafeRawBufferPointer(rebasing: page.bytes[levelBytes...]))
  }

  private func begin(_ header: PageHeader, _ rest: UnsafeRawBufferPointer) throws(FormatProblem) {
    guard header.valueCount >= 0, Int(header.valueCount) <= chunkSlotsLeft else {
      throw FormatProblem("its pages have more values than the footer says")
    }
    values = try pageValues(header, rest)
    pageSlotsLeft = Int(header.valueCount)
    chunkSlotsLeft -= pageSlotsLeft
  }

  private func pageValues(
    _ header: PageHeader, _ rest: UnsafeRawBufferPointer
  ) throws(FormatProblem) -> PageValues {
    var (encoding, bytes) = (header.encoding, rest)
    if PlainPages.areMade(of: encoding) {
      plainPage.removeAll()
      try PlainPages.make(leaf, encoding, bytes, countMax: Int(header.valueCount), to: &plainPage)
      (encoding, bytes) = (Encoding.plain.rawValue, plainPage.bytes)
    }
    if leaf.conversion == .uuid, encoding == Encoding.plain.rawValue {
      uuidPage.removeAll()
      try PlainPages.texts(ofUUIDs: bytes, to: &uuidPage)
      bytes = uuidPage.bytes
    }
    return try PageValues(leaf, encoding, bytes)
  }

  private func nextHeader(_ input: borrowing ParquetInput) throws(FormatProblem) -> PageHeader {
    var count = 256
    while true {
      let available = min(count, end - offset)
      guard available > 0 else { throw FormatProblem("its pages have fewer values than the footer says") }
      var thrift = ThriftReader(try bytes(at: offset, available, input))
      do throws(FormatProblem) {
        let header = try PageHeader(&thrift)
        offset += thrift.position
        return header
      } catch {
        guard error.isTruncation, available == count, count < Self.headerBytesMax else { throw error }
        count *= 8
      }
    }
  }

  /// Bytes of the file inside the chunk, valid until the next call.
  private func bytes(
    at start: Int, _ count: Int, _ input: borrowing ParquetInput
  ) throws(FormatProblem) -> UnsafeRawBufferPointer {
    if start < windowStart || start + count > windowStart + window.count {
      let wanted = max(count, min(Self.windowBytes, end - start))
      window.removeAll()
      windowStart = start
      do throws(ParquetError) {
        try window.append(atMost: wanted) { (room) throws(ParquetError) in
          try input.read(at: start, into: room)
          return wanted
        }
      } catch {
        throw FormatProblem(error.problem)
      }
    }
    let from = start - windowStart
    return UnsafeRawBufferPointer(rebasing: window.bytes[from..<(from + count)])
  }
}
