import NIOCore

/// A request that isn't what its header says, or that can't be answered within the limits.
struct Malformed: Error {
  var reason: String
}

/// Reads Kafka's types. In a flexible version strings, bytes and arrays are compact and structures end with tags.
struct WireReader {
  /// The elements of all arrays of a request: each costs more in memory than its byte or two on the wire.
  static let elementsMax = 1_000_000

  private var buffer: ByteBuffer
  private var elementsLeft = WireReader.elementsMax
  var isFlexible = false

  init(_ buffer: ByteBuffer) { self.buffer = buffer }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws -> T {
    guard let value = buffer.readInteger(as: T.self) else { throw Malformed(reason: "it ends in a number") }
    return value
  }

  mutating func int8() throws -> Int8 { try integer() }
  mutating func int16() throws -> Int16 { try integer() }
  mutating func int32() throws -> Int32 { try integer() }
  mutating func int64() throws -> Int64 { try integer() }
  mutating func bool() throws -> Bool { try integer(UInt8.self) != 0 }

  mutating func nullableString() throws -> String? {
    guard let length = try length(fixed: Int16.self) else { return nil }
    // Compact strings could be longer, but no version of Kafka lets them.
    guard length <= Int16.max else { throw Malformed(reason: "a string is too long") }
    guard let bytes = buffer.readSlice(length: length) else {
      throw Malformed(reason: "it ends in a string")
    }
    // Repaired, it would be another string, and up to three times as long.
    guard let string = String(validating: bytes.readableBytesView, as: UTF8.self) else {
      throw Malformed(reason: "a string is not UTF-8")
    }
    return string
  }

  mutating func string() throws -> String {
    guard let string = try nullableString() else { throw Malformed(reason: "a string is null") }
    return string
  }

  mutating func nullableBytes() throws -> [UInt8]? {
    guard let length = try length(fixed: Int32.self) else { return nil }
    guard let bytes = buffer.readBytes(length: length) else { throw Malformed(reason: "it ends in bytes") }
    return bytes
  }

  mutating func bytes() throws -> [UInt8] { try nullableBytes() ?? [] }

  mutating func nullableArray<T>(_ element: (inout WireReader) throws -> T) throws -> [T]? {
    guard let count = try length(fixed: Int32.self) else { return nil }
    // An element takes at least one byte, so a lying count can't make us reserve more than was sent.
    guard count <= buffer.readableBytes else { throw Malformed(reason: "it ends in an array") }
    guard count <= elementsLeft else {
      throw Malformed(reason: "its arrays have more than \(Self.elementsMax) elements")
    }
    elementsLeft -= count
    var elements: [T] = []
    for _ in 0..<count { elements.append(try element(&self)) }
    return elements
  }

  mutating func array<T>(_ element: (inout WireReader) throws -> T) throws -> [T] {
    try nullableArray(element) ?? []
  }

  /// The elements of a structure that a topic's name leads, each with its partitions.
  mutating func topics<T>(
    _ partition: (inout WireReader) throws -> T
  ) throws -> [(name: String, partitions: [T])] {
    try array { reader in
      let name = try reader.string()
      let partitions = try reader.array(partition)
      try reader.tags()
      return (name, partitions)
    }
  }

  /// Skips the tagged fields at the end of a structure; older versions have none.
  mutating func tags() throws {
    guard isFlexible else { return }
    for _ in 0..<(try varint()) {
      _ = try varint()
      let size = try varint()
      guard buffer.readableBytes >= size else { throw Malformed(reason: "it ends in a tagged field") }
      buffer.moveReaderIndex(forwardBy: size)
    }
  }

  private mutating func length<T: FixedWidthInteger>(fixed: T.Type) throws -> Int? {
    let length = isFlexible ? try varint() - 1 : Int(try integer(T.self))
    guard length >= -1 else { throw Malformed(reason: "a length is negative") }
    return length == -1 ? nil : length
  }

  private mutating func varint() throws -> Int {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
      let byte = try integer(UInt8.self)
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw Malformed(reason: "a varint is too long")
  }
}

/// Writes Kafka's types into a response frame. Nothing is written any more once it is too large.
struct WireWriter {
  /// As large as a request may be: Kafka's clients take no larger frames either.
  static let frameBytesMax = 100 << 20

  private var buffer: ByteBuffer
  private var isTooLarge: Bool { buffer.readableBytes > Self.frameBytesMax }
  private let isFlexible: Bool

  /// Begins a response. (ApiVersions keeps the old header, so that any client can read it.)
  init(
    correlationId: Int32, isFlexible: Bool, hasOldHeader: Bool, allocator: ByteBufferAllocator,
    capacity: Int = 256
  ) {
    buffer = allocator.buffer(capacity: capacity)
    self.isFlexible = isFlexible
    buffer.writeInteger(Int32(0))
    buffer.writeInteger(correlationId)
    if !hasOldHeader { tags() }
  }

  /// The frame with its length in front.
  consuming func finish() throws -> ByteBuffer {
    guard !isTooLarge else {
      throw Malformed(reason: "the reply to it has more than \(Self.frameBytesMax >> 20) MiB")
    }
    buffer.setInteger(Int32(buffer.readableBytes - 4), at: buffer.readerIndex)
    return buffer
  }

  mutating func int8(_ value: Int8) { buffer.writeInteger(value) }
  mutating func int16(_ value: Int16) { buffer.writeInteger(value) }
  mutating func int32(_ value: Int32) { buffer.writeInteger(value) }
  mutating func int64(_ value: Int64) { buffer.writeInteger(value) }
  mutating func bool(_ value: Bool) { buffer.writeInteger(UInt8(value ? 1 : 0)) }

  mutating func string(_ value: String?) {
    guard let value else { return length(nil, Int16.self) }
    precondition(isFlexible || value.utf8.count <= Int16.max, "Cannot write a string that was never read")
    length(value.utf8.count, Int16.self)
    buffer.writeString(value)
  }

  mutating func bytes(_ value: [UInt8]) {
    length(value.count, Int32.self)
    buffer.writeBytes(value)
  }

  /// Bytes in several pieces.
  mutating func bytes(count: Int, _ write: (inout ByteBuffer) -> Void) {
    length(count, Int32.self)
    write(&buffer)
  }

  mutating func array<C: Collection>(_ elements: C, _ write: (inout WireWriter, C.Element) -> Void) {
    length(elements.count, Int32.self)
    for element in elements {
      guard !isTooLarge else { return }
      write(&self, element)
    }
  }

  mutating func int32Array(_ values: [Int32]) { array(values) { $0.int32($1) } }

  /// Topics, each with its partitions, which are structures; the mirror of ``WireReader/topics(_:)``.
  mutating func topics<T>(
    _ topics: [(name: String, partitions: [T])], _ partition: (inout WireWriter, String, T) -> Void
  ) {
    array(topics) { writer, topic in
      writer.string(topic.name)
      writer.array(topic.partitions) { writer, element in
        partition(&writer, topic.name, element)
        writer.tags()
      }
      writer.tags()
    }
  }

  /// The empty tagged fields at the end of a structure; older versions have none.
  mutating func tags() { if isFlexible { buffer.writeInteger(UInt8(0)) } }

  private mutating func length<T: FixedWidthInteger>(_ length: Int?, _ type: T.Type) {
    guard isFlexible else {
      buffer.writeInteger(length.map { T($0) } ?? -1)
      return
    }
    var rest = length.map { $0 + 1 } ?? 0
    while rest > 0x7F {
      buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    buffer.writeInteger(UInt8(rest))
  }
}
