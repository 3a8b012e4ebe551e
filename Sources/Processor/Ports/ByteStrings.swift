/// Strings of bytes, one behind the other in one piece of memory that is used again and again: adding one allocates
/// nothing.
public struct ByteStrings: Sendable {
  private var bytes: [UInt8] = []
  /// Where each string ends.
  private var ends: [Int] = []

  /// No strings.
  public init() {}

  /// Strings that are kept elsewhere.
  public init(_ strings: some Sequence<[UInt8]>) {
    for string in strings { append { $0 += string } }
  }

  /// Strings.
  public var count: Int { ends.count }
  /// Bytes of all strings.
  public var byteCount: Int { bytes.count }

  /// Forgets the strings, and keeps their memory.
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
  }

  /// Adds a string: what `write` appends.
  public mutating func append(_ write: (inout [UInt8]) -> Void) {
    write(&bytes)
    ends.append(bytes.count)
  }

  /// Calls with a string, which is borrowed for as long.
  public func withBytes<Result, Failure>(
    _ index: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let start = index == 0 ? 0 : ends[index - 1]
    return try bytes.span.bytes.extracting(start..<ends[index]).withUnsafeBytes(body)
  }
}

extension ByteStrings: ExpressibleByArrayLiteral {
  /// Strings as a list.
  public init(arrayLiteral strings: [UInt8]...) { self.init(strings) }
}

/// States and the keys that they have in the store, in the same order. One without bytes is none: the store has nothing under its key
/// any more.
public struct KeyedStates: Sendable {
  /// The keys, as `StateKey` makes them.
  public private(set) var keys = ByteStrings()
  /// The states' bytes.
  public private(set) var values = ByteStrings()
  /// What they have folded, if that isn't the position that is written with them.
  public var position: Int64?

  /// No states.
  public init() {}

  /// States that are kept elsewhere.
  public init(_ states: some Sequence<(key: [UInt8], value: [UInt8])>) {
    for state in states {
      append(state.key, UnsafeRawBufferPointer(start: nil, count: 0)) { $0 += state.value }
    }
  }

  /// States.
  public var count: Int { keys.count }
  /// Bytes of all keys and values.
  public var byteCount: Int { keys.byteCount + values.byteCount }

  /// Forgets the states, and keeps their memory.
  public mutating func removeAll() {
    keys.removeAll()
    values.removeAll()
  }

  /// Adds a state under a key of two parts; its bytes are what `write` appends.
  public mutating func append(
    _ prefix: [UInt8], _ key: UnsafeRawBufferPointer, _ write: (inout [UInt8]) -> Void
  ) {
    keys.append {
      $0 += prefix
      $0 += key
    }
    values.append(write)
  }

  /// Adds a state under a key that is kept elsewhere; its bytes are what `write` appends.
  mutating func append(_ keys: borrowing ByteStrings, _ index: Int, _ write: (inout [UInt8]) -> Void) {
    keys.withBytes(index) { key in self.keys.append { $0 += key } }
    values.append(write)
  }

  /// Whether the store is to have nothing under a key any more.
  public func isRemoved(_ index: Int) -> Bool { values.withBytes(index) { $0.isEmpty } }

  /// Calls with a key and its value, which are borrowed for as long.
  public func withBytes<Result, Failure>(
    _ index: Int, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try keys.withBytes(index) { (key) throws(Failure) in
      try values.withBytes(index) { (value) throws(Failure) in try body(key, value) }
    }
  }
}

extension KeyedStates: ExpressibleByArrayLiteral {
  /// States as a list.
  public init(arrayLiteral states: (key: [UInt8], value: [UInt8])...) { self.init(states) }
}
