import FeatureCore
import Foundation

/// An event of the algebra's tests: one column a type, a filter, and its time. Its place in a list is its log order.
struct TestEvent {
  var time: Int64
  /// By column, `time` excepted.
  var values: [String: FeatureValue]

  subscript(column: String) -> FeatureValue {
    column == "ts" ? .timestamp(EventTime(microseconds: time)) : values[column] ?? .null
  }

  /// The event as a record: what reaches the fold through the decoder.
  var json: String {
    var fields = ["\"ts\":\(time)"]
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      if let text = Self.text(value) { fields.append("\"\(name)\":\(text)") }
    }
    return "{" + fields.joined(separator: ",") + "}"
  }

  static func text(_ value: FeatureValue) -> String? {
    switch value {
    case .null: "null"
    case .int64(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .timestamp(let time): "\(time.microseconds)"
    case .string(let text): quoted(text.description)
    case .list(let values): "[" + values.compactMap(text).joined(separator: ",") + "]"
    }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20: result += "\\u" + String(format: "%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// The source of the algebra's tests.
enum TestSource {
  static let fields: [Source.Field] = [
    Source.Field("user", .string), Source.Field("s", .string), Source.Field("i", .int64),
    Source.Field("d", .double), Source.Field("b", .bool), Source.Field("t", .timestamp),
    Source.Field("f", .bool), Source.Field("small", .int64),
  ]

  static let source = Source(
    "events", topic: "events", key: "user", timestamp: .init(field: "ts", unit: .microseconds), fields: fields
  )

  static func definitions(_ features: [Feature], where filter: String? = nil) -> Definitions {
    Definitions(
      name: "test", sources: [source],
      views: [View("view", source: "events", entity: ["user"], where: filter, features: features)])
  }

  static func plan(
    _ features: [Feature], where filter: String? = nil, stateBytesMax: Int = Limits.stateBytesMax
  ) throws -> ViewPlan {
    try Plan(definitions(features, where: filter), zones: TestZones.all, stateBytesMax: stateBytesMax).views[
      0]
  }
}

/// Rows of events, in the order of the source's columns, with the memory of their texts.
final class TestRow {
  private let arena = TextArena()
  private let scalars: UnsafeMutableBufferPointer<Scalar>

  init() { scalars = .allocate(capacity: TestSource.fields.count + 1) }
  deinit { scalars.deallocate() }

  func set(_ event: TestEvent) -> UnsafePointer<Scalar> {
    arena.reset()
    for (index, field) in TestSource.fields.enumerated() {
      scalars[index] = scalar(event[field.name])
    }
    scalars[TestSource.fields.count] = .int64(event.time)
    return UnsafePointer(scalars.baseAddress!)
  }

  private func scalar(_ value: FeatureValue) -> Scalar {
    switch value {
    case .null, .list: return .null
    case .int64(let value): return .int64(value)
    case .double(let value): return .double(value)
    case .bool(let value): return .bool(value)
    case .timestamp(let time): return .int64(time.microseconds)
    case .string(let text):
      let room = arena.allocate(text.utf8.count)
      room.copyBytes(from: text.utf8)
      return .text(UnsafeRawBufferPointer(room))
    }
  }
}

/// A fold of one entity, event by event.
struct TestFold {
  let view: ViewPlan
  let fold: ViewFold
  var state: State?
  private let row = TestRow()

  init(_ view: ViewPlan) {
    self.view = view
    fold = ViewFold(view)
  }

  mutating func add(_ event: TestEvent) throws {
    try fold.fold(row.set(event), time: event.time, into: &state)
  }

  /// The bytes of the state. Precondition: something was folded.
  var bytes: [UInt8] { view.encode(state!) }

  static func bytes(_ view: ViewPlan, _ events: [TestEvent]) throws -> [UInt8] {
    var fold = TestFold(view)
    for event in events { try fold.add(event) }
    return fold.bytes
  }
}

extension ViewPlan {
  func decode(_ bytes: [UInt8]) throws -> State { try bytes.withUnsafeBytes { try decode($0) } }
}

/// Hexadecimal digits of bytes.
func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
