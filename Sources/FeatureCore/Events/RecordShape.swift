/// What a decoder does with the parts of a record: a tree of objects and arrays that hold declared values.
///
/// The tree is fixed and owned by this object; the decoder reads it through pointers, without touching reference counts.
final class RecordShape {
  /// What becomes of a value.
  struct Target {
    /// The column that it is read into, or -1.
    var column: Int32 = -1
    /// The node that it is, or -1.
    var node: Int32 = -1
    var reader = ValueReader.skip

    /// It is validated and passed over.
    static let skip = Target()
  }

  /// An object or an array with declared values inside.
  struct Node {
    /// Whether it is an array.
    var isArray = false
    /// The array whose elements are events of their own.
    var isEach = false
    /// The names of a row's columns that keep their values.
    var isKept = false
    /// A column inside, to name in failures.
    var column: Int32 = -1
    /// An object's members.
    var slots: UnsafeMutablePointer<KeyTable.Slot>
    var tokens: UnsafeMutablePointer<UInt64>
    var start: Int
    /// An array's elements that are read: their positions, ascending, and targets.
    var positions: UnsafeMutableBufferPointer<Int32>
    var elements: UnsafeMutableBufferPointer<Target>
  }

  /// The record is the first; children come behind their parents.
  let nodes: UnsafeMutablePointer<Node>
  /// The clocks that readers refer to.
  let clocks: UnsafeMutablePointer<WallClock>
  /// Where the array of `each` stands in the record that is read; -1: it has none.
  let eachStart: UnsafeMutablePointer<Int>
  /// The same of the names of a row's kept columns.
  let keptStart: UnsafeMutablePointer<Int>
  /// The columns' names, of a table.
  let keptNames: [[UInt8]]
  /// The columns that are texts.
  let textColumns: [Int]
  /// Names that are looked for in changes: of the time in `source`, of the key's field, and of what a schema describes.
  let commitName: UnsafeMutableRawBufferPointer
  let keyName: UnsafeMutableRawBufferPointer
  let payloadName: UnsafeMutableRawBufferPointer
  /// How a table's key is read from the record's.
  let keyReader: ValueReader
  /// What an element of that array is.
  let element: Target
  /// Levels around an element.
  let elementDepth: Int
  /// The columns that are no part of the JSON.
  let recordColumns: [(column: Int, origin: EventSchema.Origin, reader: ValueReader)]
  private let nodeCount: Int
  private let clockCount: Int
  /// Own the members' memory.
  private let tables: [KeyTable]

  init(_ schema: EventSchema) {
    var builder = ShapeBuilder(schema)
    let root = builder.object(builder.recordColumns)
    precondition(root == 0, "Cannot have a shape whose root is not its first node")
    element = builder.elementTarget
    elementDepth = (schema.each?.steps.count ?? 0) + 1
    recordColumns = builder.otherColumns
    keyReader = builder.keyReader
    keptNames = schema.isTable ? schema.columns.map { Array($0.name.utf8) } : []
    textColumns = schema.columns.indices.filter { schema.columns[$0].type == .string }
    commitName = .copy(of: schema.columns[schema.timeColumn].name)
    keyName = .copy(of: schema.keyColumn.map { schema.columns[$0].memberName } ?? "")
    payloadName = .copy(of: "payload")
    keptStart = .allocate(capacity: 1)
    keptStart.initialize(to: -1)
    eachStart = .allocate(capacity: 1)
    eachStart.initialize(to: -1)
    tables = builder.tables
    nodeCount = builder.nodes.count
    nodes = .allocate(capacity: nodeCount)
    nodes.initialize(from: builder.nodes, count: nodeCount)
    // One that nothing reads, so that there always is an address.
    let distinct = builder.clocks.isEmpty ? [WallClock(.utc)] : builder.clocks
    clockCount = distinct.count
    clocks = .allocate(capacity: clockCount)
    clocks.initialize(from: distinct, count: clockCount)
  }

  deinit {
    for node in UnsafeBufferPointer(start: nodes, count: nodeCount) {
      node.positions.deallocate()
      node.elements.deallocate()
    }
    nodes.deinitialize(count: nodeCount).deallocate()
    clocks.deinitialize(count: clockCount).deallocate()
    eachStart.deallocate()
    keptStart.deallocate()
    for name in [commitName, keyName, payloadName] { name.deallocate() }
  }

  /// The members of an object, to learn from.
  func members(_ node: Int) -> KeyTable { tables[node] }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate static func copy(of text: String) -> Self {
    let bytes = Array(text.utf8)
    let memory = allocate(byteCount: bytes.count, alignment: 1)
    memory.copyBytes(from: bytes)
    return memory
  }
}

extension EventSchema.Column {
  /// The member that the column is, at the top.
  fileprivate var memberName: String {
    if case .json(let path) = origin, path.steps.count == 1, case .member(let member)? = path.steps.first {
      return member
    }
    return name
  }
}

/// Makes the nodes of a shape from the paths of a valid schema.
private struct ShapeBuilder {
  typealias Entry = (column: Int, path: ArraySlice<FieldPath.Step>)

  let schema: EventSchema
  private(set) var nodes: [RecordShape.Node] = []
  /// By node; arrays have an empty one.
  private(set) var tables: [KeyTable] = []
  private(set) var clocks: [WallClock] = []
  private(set) var recordColumns: [Entry] = []
  private(set) var otherColumns: [(column: Int, origin: EventSchema.Origin, reader: ValueReader)] = []
  private(set) var elementTarget = RecordShape.Target.skip
  private var elementColumns: [Entry] = []

  init(_ schema: EventSchema) {
    self.schema = schema
    for clock in schema.columns.compactMap(\.clock) where !clocks.contains(clock) { clocks.append(clock) }
    for (index, column) in schema.columns.enumerated() {
      guard case .json(let path) = column.origin else {
        if column.origin != .computed { otherColumns.append((index, column.origin, reader(column))) }
        continue
      }
      if let each = schema.each, let rest = path.steps(after: each) {
        elementColumns.append((index, rest))
      } else {
        recordColumns.append((index, path.steps[...]))
      }
    }
    // The array is a value of the record that no column reads.
    if let each = schema.each { recordColumns.append((-1, each.steps[...])) }
    if schema.isTable { recordColumns.append((-2, FieldPath(member: EventSchema.keptField).steps[...])) }
  }

  /// The node of an object with values at these paths.
  mutating func object(_ entries: [Entry]) -> Int {
    let node = reserve(entries)
    var names: [String] = []
    var parts: [String: [Entry]] = [:]
    for entry in entries {
      guard case .member(let name)? = entry.path.first else { preconditionFailure("Cannot name an element") }
      if parts[name] == nil { names.append(name) }
      parts[name, default: []].append((entry.column, entry.path.dropFirst()))
    }
    let targets = names.map { target(parts[$0] ?? []) }
    let table = KeyTable(Array(zip(names, targets)))
    tables[node] = table
    nodes[node].slots = table.slotMemory
    nodes[node].tokens = table.tokenMemory
    nodes[node].start = table.start
    return node
  }

  private mutating func array(_ entries: [Entry]) -> Int {
    let node = reserve(entries)
    nodes[node].isArray = true
    var parts: [Int: [Entry]] = [:]
    for entry in entries {
      guard case .element(let index)? = entry.path.first else { preconditionFailure("Cannot count a member") }
      parts[index, default: []].append((entry.column, entry.path.dropFirst()))
    }
    let positions = parts.keys.sorted()
    let targets = positions.map { target(parts[$0] ?? []) }
    nodes[node].positions = .allocate(capacity: positions.count)
    _ = nodes[node].positions.initialize(from: positions.map(Int32.init))
    nodes[node].elements = .allocate(capacity: positions.count)
    _ = nodes[node].elements.initialize(from: targets)
    return node
  }

  private mutating func target(_ entries: [Entry]) -> RecordShape.Target {
    guard let first = entries.first else { return .skip }
    if first.column == -2, first.path.isEmpty {
      let node = reserve([])
      nodes[node].isKept = true
      return RecordShape.Target(node: Int32(node))
    }
    if first.column < 0, first.path.isEmpty {
      precondition(entries.count == 1, "Cannot read the array of 'each' as something else")
      let node = reserve([])
      nodes[node].isEach = true
      nodes[node].column = Int32(elementColumns.first?.column ?? -1)
      elementTarget = target(elementColumns)
      return RecordShape.Target(node: Int32(node))
    }
    switch first.path.first {
    case .member: return RecordShape.Target(node: Int32(object(entries)))
    case .element: return RecordShape.Target(node: Int32(array(entries)))
    case nil:
      precondition(entries.count == 1, "Cannot read two columns from one place")
      return RecordShape.Target(column: Int32(first.column), reader: reader(schema.columns[first.column]))
    }
  }

  var keyReader: ValueReader { schema.keyColumn.map { reader(schema.columns[$0]) } ?? .skip }

  private func reader(_ column: EventSchema.Column) -> ValueReader {
    ValueReader(column, clock: column.clock.flatMap(clocks.firstIndex).map(Int16.init) ?? -1)
  }

  private mutating func reserve(_ entries: [Entry]) -> Int {
    let table = KeyTable([])
    let column = entries.first { $0.column >= 0 }?.column ?? -1
    nodes.append(
      RecordShape.Node(
        column: Int32(column), slots: table.slotMemory, tokens: table.tokenMemory, start: table.start,
        positions: UnsafeMutableBufferPointer(start: nil, count: 0),
        elements: UnsafeMutableBufferPointer(start: nil, count: 0)))
    tables.append(table)
    return nodes.count - 1
  }
}
