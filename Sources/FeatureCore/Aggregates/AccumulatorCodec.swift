/// The bytes of accumulators: numbers as varints, doubles as 8 bytes, times as distances back from as_of.
extension Accumulator {
  @inline(__always)
  func encode(_ words: UnsafePointer<UInt64>, asOf: Int64, into writer: inout ByteWriter) {
    switch kind {
    case .count: writer.varint(words[0])
    case .sumInt64: encodeInt128(words, &writer)
    case .sumDouble, .minDouble, .maxDouble, .product: writer.fixed(words[0])
    case .meanInt64:
      writer.varint(words[0])
      encodeInt128(words + 1, &writer)
    case .meanDouble:
      writer.varint(words[0])
      writer.fixed(words[1])
    case .moments:
      writer.varint(words[0])
      writer.fixed(words[1])
      writer.fixed(words[2])
    case .minInt64, .maxInt64: writer.signed(Int64(bitPattern: words[0]))
    case .first, .last:
      writer.varint(UInt64(bitPattern: asOf &- Int64(bitPattern: words[0])))
      encodeValue(words[1], &writer)
    case .decayed:
      writer.varint(UInt64(bitPattern: asOf &- Int64(bitPattern: words[0])))
      writer.fixed(words[1])
    case .latestTime: writer.varint(UInt64(bitPattern: asOf &- Int64(bitPattern: words[0])))
    case .histogram: for bucket in 0..<bucketCount { writer.varint(words[bucket]) }
    case .rowValue: encodeValue(words[0], &writer)
    case .minText, .maxText, .firstList, .lastList, .lastDistinct, .distinct, .quantiles, .topCounts,
      .heavyHitters, .rowText, .scores:
      break
    }
  }

  func decode(
    at word: Int, asOf: Int64, into words: inout ContiguousArray<UInt64>, _ reader: inout ByteReader
  ) throws(StateError) {
    switch kind {
    case .count: words[word] = try positive(&reader)
    case .sumInt64: try decodeInt128(at: word, into: &words, &reader)
    case .sumDouble, .product: words[word] = try double(&reader)
    case .minDouble, .maxDouble: words[word] = try finiteDouble(&reader)
    case .meanInt64:
      words[word] = try positive(&reader)
      try decodeInt128(at: word + 1, into: &words, &reader)
    case .meanDouble:
      words[word] = try positive(&reader)
      words[word + 1] = try double(&reader)
    case .moments:
      words[word] = try positive(&reader)
      words[word + 1] = try double(&reader)
      words[word + 2] = try double(&reader)
    case .minInt64, .maxInt64:
      let value = try reader.signed()
      guard type != .bool || value == 0 || value == 1 else { throw reader.corrupt("a bool is \(value)") }
      words[word] = UInt64(bitPattern: value)
    case .first, .last:
      words[word] = UInt64(bitPattern: try time(asOf: asOf, &reader))
      words[word + 1] = try decodeValue(&reader)
    case .decayed:
      words[word] = UInt64(bitPattern: try time(asOf: asOf, &reader))
      words[word + 1] = try double(&reader)
    case .latestTime: words[word] = UInt64(bitPattern: try time(asOf: asOf, &reader))
    case .rowValue: words[word] = try decodeValue(&reader)
    case .histogram:
      var total: UInt64 = 0
      for bucket in 0..<bucketCount {
        words[word + bucket] = try reader.varint()
        try add(words[word + bucket], to: &total, reader)
      }
      guard total > 0 else { throw reader.corrupt("a histogram holds nothing") }
    case .minText, .maxText, .firstList, .lastList, .lastDistinct, .distinct, .quantiles, .topCounts,
      .heavyHitters, .rowText, .scores:
      break
    }
  }

  func encode(_ cell: Cell, asOf: Int64, into writer: inout ByteWriter) {
    switch kind {
    case .minText, .maxText, .rowText: cell.bytes.withUnsafeBytes { encodeText($0, &writer) }
    case .firstList, .lastList, .lastDistinct:
      writer.varint(UInt64(cell.words.count / 2))
      TimedList.forEach(cell, isText: isText) { time, scalar in
        writer.varint(UInt64(asOf - time))
        encodeEntry(scalar, &writer)
      }
    case .distinct:
      // A set of no hashes does not exist, so a zero announces the registers.
      writer.varint(UInt64(cell.words.count))
      for hash in cell.words { writer.fixed(hash) }
      if cell.words.isEmpty { encodeRegisters(cell.bytes, &writer) }
    case .quantiles:
      writer.varint(cell.words[0])
      writer.varint(UInt64((cell.words.count - 1) / 2))
      var previous: Int64 = 0
      for index in stride(from: 1, to: cell.words.count, by: 2) {
        writer.signed(Int64(bitPattern: cell.words[index]) - previous)
        writer.varint(cell.words[index + 1])
        previous = Int64(bitPattern: cell.words[index])
      }
    case .topCounts:
      writer.varint(UInt64(cell.words.count / 2))
      TopCounts.forEach(cell, type) { scalar, count in
        encodeEntry(scalar, &writer)
        writer.varint(count)
      }
    case .heavyHitters:
      writer.varint(UInt64(cell.words.count / 3))
      HeavyHitters.forEach(cell, type) { scalar, count, error in
        encodeEntry(scalar, &writer)
        writer.varint(count)
        writer.varint(error)
      }
    case .scores: ScoreSketch.encode(cell, into: &writer)
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first,
      .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      preconditionFailure("Cannot encode a cell when the accumulator is \(kind)")
    }
  }

  func decodeCell(asOf: Int64, _ reader: inout ByteReader) throws(StateError) -> Cell {
    var cell = Cell()
    switch kind {
    case .minText, .maxText, .rowText: cell.bytes.append(contentsOf: try text(&reader))
    case .firstList, .lastList: try decodeList(asOf: asOf, into: &cell, &reader)
    case .lastDistinct:
      try decodeList(asOf: asOf, into: &cell, &reader)
      guard TimedList.isDistinct(cell, isText: isText) else { throw reader.corrupt("a value stands twice") }
    case .distinct: try decodeDistinct(into: &cell, &reader)
    case .quantiles: try decodeQuantiles(into: &cell, &reader)
    case .topCounts: try decodeTopCounts(into: &cell, counters: TopCounts.capacity(k: k), &reader)
    case .heavyHitters: try decodeTopCounts(into: &cell, counters: counters, &reader)
    case .scores: try ScoreSketch.decode(into: &cell, &reader)
    case .count, .sumInt64, .sumDouble, .meanInt64, .meanDouble, .moments, .minInt64, .maxInt64, .minDouble,
      .maxDouble, .first,
      .last, .decayed, .latestTime, .histogram, .product, .rowValue:
      preconditionFailure("Cannot decode a cell when the accumulator is \(kind)")
    }
    return cell
  }

  private func decodeList(
    asOf: Int64, into cell: inout Cell, _ reader: inout ByteReader
  ) throws(StateError) {
    var previous = Int64.min
    let count = try count(&reader, atMost: k)
    cell.words.reserveCapacity(2 * count)
    for _ in 0..<count {
      let time = try time(asOf: asOf, &reader)
      guard time >= previous else { throw reader.corrupt("a list is not in order of time") }
      previous = time
      cell.words.append(UInt64(bitPattern: time))
      try decodeEntry(into: &cell, &reader)
    }
  }

  private func decodeDistinct(into cell: inout Cell, _ reader: inout ByteReader) throws(StateError) {
    let count = try reader.count(atMost: Limits.distinctExactMax)
    if count == 0 { return try decodeRegisters(into: &cell, &reader) }
    cell.words.reserveCapacity(count)
    for index in 0..<count {
      let hash = try reader.fixed()
      guard index == 0 || hash > cell.words[index - 1] else { throw reader.corrupt("hashes do not ascend") }
      cell.words.append(hash)
    }
  }

  private func decodeQuantiles(into cell: inout Cell, _ reader: inout ByteReader) throws(StateError) {
    let halvings = try reader.varint()
    guard halvings <= 11 else { throw reader.corrupt("a quantile sketch has \(halvings) halvings") }
    let keyMax = Int64(Double.greatestFiniteMagnitude.bitPattern >> 45) >> Int64(halvings)
    var previous: Int64 = 0
    let buckets = try count(&reader, atMost: Limits.quantileBucketsMax)
    cell.words.reserveCapacity(1 + 2 * buckets)
    cell.words.append(halvings)
    var total: UInt64 = 0
    for index in 0..<buckets {
      let distance = try reader.signed()
      guard index == 0 || distance > 0 else { throw reader.corrupt("buckets do not ascend") }
      let (key, overflow) = previous.addingReportingOverflow(distance)
      guard !overflow, key.magnitude <= keyMax.magnitude else {
        throw reader.corrupt("a bucket is out of range")
      }
      previous = key
      let count = try positive(&reader)
      try add(count, to: &total, reader)
      cell.words.append(UInt64(bitPattern: key))
      cell.words.append(count)
    }
  }

  private func decodeTopCounts(
    into cell: inout Cell, counters countersMax: Int, _ reader: inout ByteReader
  ) throws(StateError) {
    let stride = kind == .heavyHitters ? 3 : 2
    var previousText: UnsafeRawBufferPointer?
    var total: UInt64 = 0
    let counters = try count(&reader, atMost: countersMax)
    cell.words.reserveCapacity(stride * counters)
    for _ in 0..<counters {
      let before = reader.offset
      try decodeEntry(into: &cell, &reader)
      let entries = cell.words.count
      if isText {
        // Entries are read one after the other, so the text ends where the reader stands.
        let length = Int(cell.words[entries - 1])
        let text = UnsafeRawBufferPointer(rebasing: reader.bytes[(reader.offset - length)..<reader.offset])
        if let previousText, compareBytes(previousText, text) >= 0 {
          throw StateError(kind: .corrupt("values do not ascend"), offset: before)
        }
        previousText = text
      } else if entries > stride,
        Int64(bitPattern: cell.words[entries - 1 - stride]) >= Int64(bitPattern: cell.words[entries - 1])
      {
        throw StateError(kind: .corrupt("values do not ascend"), offset: before)
      }
      let count = try positive(&reader)
      try add(count, to: &total, reader)
      cell.words.append(count)
      guard kind == .heavyHitters else { continue }
      let error = try reader.varint()
      guard error < count else { throw reader.corrupt("a counter has nothing but its error") }
      cell.words.append(error)
    }
  }

  // MARK: Parts

  /// A count of entries of a cell that exists, so at least one.
  private func count(_ reader: inout ByteReader, atMost limit: Int) throws(StateError) -> Int {
    let count = try reader.count(atMost: limit)
    guard count > 0 else { throw reader.corrupt("a list holds nothing") }
    return count
  }

  private func positive(_ reader: inout ByteReader) throws(StateError) -> UInt64 {
    let value = try reader.varint()
    guard value > 0, value <= Limits.tileEventsMax else { throw reader.corrupt("a count is out of range") }
    return value
  }

  /// Adds up the counts of a tile, which are one number of events.
  private func add(_ count: UInt64, to total: inout UInt64, _ reader: ByteReader) throws(StateError) {
    guard count <= Limits.tileEventsMax - total else { throw reader.corrupt("a count is out of range") }
    total += count
  }

  private func double(_ reader: inout ByteReader) throws(StateError) -> UInt64 {
    let bits = try reader.fixed()
    guard !Double(bitPattern: bits).isNaN || bits == Double.nan.bitPattern else {
      throw reader.corrupt("a NaN is not canonical")
    }
    return bits
  }

  /// A value of an event: unlike a sum, it can't have overflowed.
  private func finiteDouble(_ reader: inout ByteReader) throws(StateError) -> UInt64 {
    let bits = try reader.fixed()
    guard Double(bitPattern: bits).isFinite else { throw reader.corrupt("a value is not finite") }
    return bits
  }

  private func time(asOf: Int64, _ reader: inout ByteReader) throws(StateError) -> Int64 {
    let distance = try reader.varint()
    guard distance <= UInt64(asOf - Limits.eventTimeMin) else {
      throw reader.corrupt("a time is out of range")
    }
    return asOf - Int64(distance)
  }

  private func text(_ reader: inout ByteReader) throws(StateError) -> UnsafeRawBufferPointer {
    let length = try reader.varint()
    guard length <= UInt64(Limits.stateTextBytesMax) else { throw reader.corrupt("a text is too long") }
    let bytes = try reader.raw(Int(length))
    // Nearly all texts are ASCII, which needs no decoding to be known as valid.
    guard bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else {
      throw reader.corrupt("a text is not UTF-8")
    }
    return bytes
  }

  private func encodeText(_ text: UnsafeRawBufferPointer, _ writer: inout ByteWriter) {
    writer.varint(UInt64(text.count))
    writer.raw(text)
  }

  private func encodeEntry(_ scalar: Scalar, _ writer: inout ByteWriter) {
    if isText { encodeText(scalar.text, &writer) } else { encodeValue(scalar.bits, &writer) }
  }

  private func decodeEntry(into cell: inout Cell, _ reader: inout ByteReader) throws(StateError) {
    if isText {
      let text = try text(&reader)
      cell.bytes.append(contentsOf: text)
      cell.words.append(UInt64(text.count))
    } else {
      cell.words.append(try decodeValue(&reader))
    }
  }

  private func encodeValue(_ bits: UInt64, _ writer: inout ByteWriter) {
    switch type {
    case .double: writer.fixed(bits)
    case .bool: writer.byte(UInt8(truncatingIfNeeded: bits))
    case .int64, .timestamp, .string: writer.signed(Int64(bitPattern: bits))
    }
  }

  private func decodeValue(_ reader: inout ByteReader) throws(StateError) -> UInt64 {
    switch type {
    case .double: return try finiteDouble(&reader)
    case .bool:
      let byte = try reader.byte()
      guard byte <= 1 else { throw reader.corrupt("a bool is \(byte)") }
      return UInt64(byte)
    case .int64, .timestamp, .string: return UInt64(bitPattern: try reader.signed())
    }
  }

  /// Zigzag LEB128 of 128 bits.
  private func encodeInt128(_ words: UnsafePointer<UInt64>, _ writer: inout ByteWriter) {
    let sign = UInt64(bitPattern: Int64(bitPattern: words[1]) >> 63)
    var low = (words[0] << 1) ^ sign
    var high = ((words[1] << 1) | (words[0] >> 63)) ^ sign
    while high != 0 || low >= 0x80 {
      writer.byte(UInt8(truncatingIfNeeded: low) | 0x80)
      low = (low >> 7) | (high << 57)
      high >>= 7
    }
    writer.byte(UInt8(truncatingIfNeeded: low))
  }

  private func decodeInt128(
    at word: Int, into words: inout ContiguousArray<UInt64>, _ reader: inout ByteReader
  ) throws(StateError) {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var shift = 0
    while true {
      let next = try reader.byte()
      guard shift < 126 || next <= 3 else { throw reader.corrupt("a sum does not fit 128 bits") }
      let bits = UInt64(next & 0x7F)
      if shift < 64 { low |= bits << UInt64(shift) }
      if shift > 57 { high |= shift < 64 ? bits >> UInt64(64 - shift) : bits << UInt64(shift - 64) }
      if next < 0x80 {
        guard next != 0 || shift == 0 else { throw reader.corrupt("a sum is not in its shortest form") }
        break
      }
      shift += 7
    }
    let sign = 0 &- (low & 1)
    words[word] = ((low >> 1) | (high << 63)) ^ sign
    words[word + 1] = (high >> 1) ^ sign
  }

  /// Four registers of 6 bits in three bytes, the first in the lowest bits.
  private func encodeRegisters(_ registers: ContiguousArray<UInt8>, _ writer: inout ByteWriter) {
    for start in stride(from: 0, to: DistinctSketch.registerCount, by: 4) {
      var packed: UInt32 = 0
      for index in 0..<4 { packed |= UInt32(registers[start + index]) << UInt32(6 * index) }
      for byte in 0..<3 { writer.byte(UInt8(truncatingIfNeeded: packed >> UInt32(8 * byte))) }
    }
  }

  private func decodeRegisters(into cell: inout Cell, _ reader: inout ByteReader) throws(StateError) {
    cell.bytes.reserveCapacity(DistinctSketch.registerCount)
    for _ in 0..<(DistinctSketch.registerCount / 4) {
      var packed: UInt32 = 0
      for byte in 0..<3 { packed |= UInt32(try reader.byte()) << UInt32(8 * byte) }
      for index in 0..<4 {
        let register = UInt8(truncatingIfNeeded: packed >> UInt32(6 * index)) & 0x3F
        guard register <= DistinctSketch.registerMax else {
          throw reader.corrupt("a register is out of range")
        }
        cell.bytes.append(register)
      }
    }
  }
}
