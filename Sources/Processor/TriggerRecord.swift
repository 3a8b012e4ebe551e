public import FeatureCore

/// The records of the trigger topic: JSON objects, as Topics/schemas/trigger.schema.json declares them.
public struct TriggerWriter: Sendable {
  private let app: String
  private let version: Int

  /// A writer of the triggers of a plan.
  public init(_ plan: Plan) {
    app = plan.name
    version = plan.version
  }

  /// What names a firing for good, 16 hexadecimal digits: wherever the same events are folded by the same definitions, it
  /// is the same.
  public func id(_ firing: Firing, of view: ViewPlan) -> String {
    let names = [
      app, "\(version)", view.name, view.triggers[firing.trigger].name, "\(firing.at.microseconds)",
    ]
    // No name holds a line feed, and the key comes last.
    let text = Array((names.joined(separator: "\n") + "\n").utf8) + firing.key
    return fingerprintText(text.withUnsafeBytes { Hash64.hash($0) })
  }

  /// Appends the value of a record. `record` is the one that closed the hop: the state that was evaluated has folded what is
  /// before it. nil: it is of no topic.
  public func append(
    _ firing: Firing, of view: ViewPlan, at record: (partition: TopicPartition, offset: Int64)?,
    to bytes: inout [UInt8]
  ) {
    let trigger = view.triggers[firing.trigger]
    var json = JSONObject(&bytes)
    json.add("id", text: id(firing, of: view))
    json.add("app", text: app)
    json.add("version", .int64(Int64(version)))
    json.add("view", text: view.name)
    json.add("trigger", text: trigger.name)
    let entity = firing.key.withUnsafeBytes { EntityKey.values(of: $0, view.entity) } ?? []
    json.add("entity", zip(view.entity.map(\.name), entity))
    json.add("at", .timestamp(firing.at))
    json.add("values", zip(trigger.features.map { view.features[$0].name }, firing.values))
    json.add(
      "data",
      zip(["from", "until"], [firing.from.map { .timestamp($0) } ?? .null, .timestamp(firing.at)]))
    json.add("as_of", .timestamp(firing.asOf))
    json.add("fingerprint", text: fingerprintText(view.fingerprint))
    if let record {
      json.add(
        "position",
        zip(
          ["topic", "partition", "offset"],
          [
            .string(Text(record.partition.topic)), .int64(Int64(record.partition.partition)),
            .int64(record.offset),
          ]))
    } else {
      json.add("position", .null)
    }
    bytes = json.end()
  }
}

/// An object that is appended to bytes, member after member.
struct JSONObject {
  private var bytes: [UInt8]
  private var isEmpty = true

  /// Takes the bytes until `end` gives them back.
  init(_ bytes: inout [UInt8]) {
    self.bytes = []
    swap(&self.bytes, &bytes)
    self.bytes.append(UInt8(ascii: "{"))
  }

  mutating func add(_ name: String, _ value: FeatureValue) {
    begin(name)
    ValueText.appendJSON(value, to: &bytes)
  }

  mutating func add(_ name: String, text: String) { add(name, .string(Text(text))) }

  /// An object as a member.
  mutating func add(_ name: String, _ members: some Sequence<(String, FeatureValue)>) {
    begin(name)
    var object = JSONObject(&bytes)
    for (name, value) in members { object.add(name, value) }
    bytes = object.end()
  }

  private mutating func begin(_ name: String) {
    if !isEmpty { bytes.append(UInt8(ascii: ",")) }
    isEmpty = false
    ValueText.appendJSONString(Array(name.utf8), to: &bytes)
    bytes.append(UInt8(ascii: ":"))
  }

  consuming func end() -> [UInt8] {
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }
}

/// What readers of the trigger topic go by.
public struct TriggerRecord: Hashable, Sendable {
  /// What names the firing.
  public var id: String
  /// The application.
  public var app: String
  /// The version of its definitions.
  public var version: Int64
  /// The view.
  public var view: String
  /// The trigger.
  public var trigger: String
  /// The hop boundary at which it fired.
  public var at: EventTime
}

/// Reads records of the trigger topic. One thread.
public final class TriggerReader {
  private let batch: EventBatch
  private static let fields = ["id", "app", "version", "view", "trigger"]

  /// A reader.
  public init() {
    let source = Source(
      "triggers", topic: "", timestamp: Source.Timestamp(field: "at", unit: .rfc3339),
      fields: Self.fields.map { Source.Field($0, $0 == "version" ? .int64 : .string) })
    batch = EventBatch(EventSchema(source), capacity: 1)
  }

  /// What a record says; nil if it is no record of a trigger.
  public func read(_ value: UnsafeRawBufferPointer) -> TriggerRecord? {
    batch.removeAll()
    guard (try? batch.append(value, sequence: 0)) != nil, batch.count == 1 else { return nil }
    let row = batch.row(0)
    let columns = Self.fields.map { name in batch.schema.columns.firstIndex { $0.name == name } ?? 0 }
    guard columns.allSatisfy({ row[$0].isValue }) else { return nil }
    func text(_ index: Int) -> String { String(decoding: row[columns[index]].text, as: UTF8.self) }
    return TriggerRecord(
      id: text(0), app: text(1), version: Int64(bitPattern: row[columns[2]].bits), view: text(3),
      trigger: text(4), at: EventTime(microseconds: batch.time(0)))
  }
}
