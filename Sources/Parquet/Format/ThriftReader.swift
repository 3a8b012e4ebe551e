/// Bytes that do not follow the format.
struct FormatProblem: Error {
  var text: String
  /// The bytes ended early: with more of them it may be readable.
  var isTruncation = false
  /// What to do, if the file is not damaged.
  var remedy: String?

  init(_ text: String, isTruncation: Bool = false, remedy: String? = nil) {
    self.text = text
    self.isTruncation = isTruncation
    self.remedy = remedy
  }
}

/// Reads Thrift's compact protocol from bytes that may be damaged.
struct ThriftReader {
  typealias Kind = ThriftWriter.Kind

  /// Structs inside structs: Parquet's are at most seven deep.
  private static let depthMax = 24

  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private var bytesLeft: Int { bytes.count - position }

  /// The next field of a struct; nil at its end.
  mutating func field(after latest: inout Int16) throws(FormatProblem) -> (id: Int16, kind: Kind)? {
    let head = try byte()
    guard let kind = Kind(rawValue: head & 0x0F) else {
      throw FormatProblem("unknown Thrift type \(head & 0x0F)")
    }
    if kind == .stop { return nil }
    let step = Int16(head >> 4)
    let (id, overflow) = step == 0 ? (try int16(), false) : latest.addingReportingOverflow(step)
    guard !overflow else { throw FormatProblem("Thrift field ids overflow") }
    latest = id
    return (id, kind)
  }

  mutating func int8() throws(FormatProblem) -> Int8 { Int8(bitPattern: try byte()) }

  mutating func int16() throws(FormatProblem) -> Int16 {
    guard let value = Int16(exactly: try int64()) else { throw FormatProblem("a Thrift i16 is out of range") }
    return value
  }

  mutating func int32() throws(FormatProblem) -> Int32 {
    guard let value = Int32(exactly: try int64()) else { throw FormatProblem("a Thrift i32 is out of range") }
    return value
  }

  mutating func int64() throws(FormatProblem) -> Int64 {
    let bits = try varint()
    return Int64(bitPattern: bits &>> 1) ^ -Int64(bitPattern: bits & 1)
  }

  /// A size that does not go beyond the bytes that are left.
  private mutating func size() throws(FormatProblem) -> Int {
    let size = try varint()
    guard size <= UInt64(bytesLeft) else {
      throw FormatProblem("a Thrift size of \(size) goes beyond the end", isTruncation: true)
    }
    return Int(size)
  }

  mutating func string() throws(FormatProblem) -> String {
    let count = try size()
    let slice = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    position += count
    return String(decoding: slice, as: UTF8.self)
  }

  /// Elements of one type. Each takes a byte at least, so that no count is larger than what is left.
  mutating func elements<Element>(
    _ expected: Kind, _ read: (inout ThriftReader) throws(FormatProblem) -> Element
  ) throws(FormatProblem) -> [Element] {
    let (kind, count) = try listHead()
    guard kind == expected else { throw FormatProblem("a Thrift list has elements of another type") }
    var elements: [Element] = []
    elements.reserveCapacity(min(count, 1024))
    for _ in 0..<count { elements.append(try read(&self)) }
    return elements
  }

  mutating func skip(_ kind: Kind, depth: Int = 0) throws(FormatProblem) {
    guard depth < Self.depthMax else { throw FormatProblem("Thrift values are nested too deeply") }
    switch kind {
    case .stop: throw FormatProblem("unexpected Thrift stop")
    case .true_, .false_: break
    case .int8: _ = try byte()
    case .int16, .int32, .int64: _ = try varint()
    case .double: try advance(8)
    case .binary: try advance(try size())
    case .list, .set:
      let (element, count) = try listHead()
      for _ in 0..<count { try skipElement(element, depth: depth + 1) }
    case .map:
      let count = try size()
      guard count > 0 else { return }
      let kinds = try byte()
      guard let key = Kind(rawValue: kinds >> 4), let value = Kind(rawValue: kinds & 0x0F) else {
        throw FormatProblem("unknown Thrift types in a map")
      }
      for _ in 0..<count {
        try skipElement(key, depth: depth + 1)
        try skipElement(value, depth: depth + 1)
      }
    case .structure:
      var latest: Int16 = 0
      while let field = try field(after: &latest) { try skip(field.kind, depth: depth + 1) }
    }
  }

  /// In containers a bool takes a byte.
  private mutating func skipElement(_ kind: Kind, depth: Int) throws(FormatProblem) {
    if kind == .true_ || kind == .false_ { _ = try byte() } else { try skip(kind, depth: depth) }
  }

  private mutating func listHead() throws(FormatProblem) -> (Kind, Int) {
    let head = try byte()
    guard let kind = Kind(rawValue: head & 0x0F), kind != .stop else {
      throw FormatProblem("unknown Thrift type in a list")
    }
    let count = head >> 4 == 15 ? try size() : Int(head >> 4)
    guard count <= bytesLeft else {
      throw FormatProblem("a Thrift list of \(count) goes beyond the end", isTruncation: true)
    }
    return (kind, count)
  }

  private mutating func varint() throws(FormatProblem) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      let next = try byte()
      value |= UInt64(next & 0x7F) &<< shift
      if next & 0x80 == 0 { return value }
    }
    throw FormatProblem("a Thrift number is too long")
  }

  private mutating func byte() throws(FormatProblem) -> UInt8 {
    guard position < bytes.count else {
      throw FormatProblem("the bytes end inside a Thrift value", isTruncation: true)
    }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func advance(_ count: Int) throws(FormatProblem) {
    guard count <= bytesLeft else {
      throw FormatProblem("the bytes end inside a Thrift value", isTruncation: true)
    }
    position += count
  }
}
