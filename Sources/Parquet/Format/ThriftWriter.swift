/// Writes Thrift's compact protocol
/// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), as far as Parquet needs it.
struct ThriftWriter {
  /// Types of fields and list elements.
  enum Kind: UInt8 {
    case stop = 0
    case true_, false_, int8, int16, int32, int64, double, binary, list, set, map, structure
  }

  private(set) var bytes: [UInt8] = []
  /// The id of the latest field of each struct that is open: ids are written as differences.
  private var latestIDs: [Int16] = [0]

  mutating func int16(_ id: Int16, _ value: Int16) {
    field(id, .int16)
    append(zigzag: Int64(value))
  }

  mutating func int32(_ id: Int16, _ value: Int32) {
    field(id, .int32)
    append(zigzag: Int64(value))
  }

  mutating func int64(_ id: Int16, _ value: Int64) {
    field(id, .int64)
    append(zigzag: value)
  }

  mutating func bool(_ id: Int16, _ value: Bool) { field(id, value ? .true_ : .false_) }

  mutating func binary(_ id: Int16, _ value: [UInt8]) {
    field(id, .binary)
    append(binary: value)
  }

  mutating func string(_ id: Int16, _ value: String) { binary(id, [UInt8](value.utf8)) }

  mutating func structure(_ id: Int16, _ members: (inout ThriftWriter) -> Void) {
    field(id, .structure)
    element(members)
  }

  /// A struct in a list, or the outermost one.
  mutating func element(_ members: (inout ThriftWriter) -> Void) {
    latestIDs.append(0)
    members(&self)
    latestIDs.removeLast()
    bytes.append(Kind.stop.rawValue)
  }

  mutating func structures<Elements: Collection>(
    _ id: Int16, _ elements: Elements, _ members: (inout ThriftWriter, Elements.Element) -> Void
  ) {
    list(id, elements.count, .structure)
    for each in elements { element { members(&$0, each) } }
  }

  mutating func int32s(_ id: Int16, _ values: [Int32]) {
    list(id, values.count, .int32)
    for value in values { append(zigzag: Int64(value)) }
  }

  mutating func strings(_ id: Int16, _ values: [String]) {
    list(id, values.count, .binary)
    for value in values { append(binary: [UInt8](value.utf8)) }
  }

  private mutating func list(_ id: Int16, _ count: Int, _ kind: Kind) {
    field(id, .list)
    if count < 15 {
      bytes.append(UInt8(count) << 4 | kind.rawValue)
    } else {
      bytes.append(0xF0 | kind.rawValue)
      append(varint: UInt64(count))
    }
  }

  private mutating func field(_ id: Int16, _ kind: Kind) {
    let step = id - latestIDs[latestIDs.count - 1]
    precondition(step > 0 && step < 16, "Cannot write field \(id) here: ids ascend in small steps")
    latestIDs[latestIDs.count - 1] = id
    bytes.append(UInt8(step) << 4 | kind.rawValue)
  }

  private mutating func append(binary value: [UInt8]) {
    append(varint: UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  private mutating func append(zigzag value: Int64) {
    append(varint: UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
  }

  private mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
