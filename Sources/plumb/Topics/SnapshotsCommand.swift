import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import OutputRecords
import Processor
import SwiftProtobuf

struct SnapshotsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshots", abstract: "Look at the snapshot topic.", subcommands: [Tail.self])

  struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the snapshots that readers of committed records see, one JSON object a line.",
      discussion: """
        An entity's snapshots come in the order of their positions; those of different partitions of the topic \
        are mixed.

        Examples:
          plumb snapshots tail -d shop.yaml --view user_activity --entity user_id=u42
          plumb snapshots tail -d shop.yaml --from end --follow
          plumb snapshots tail -d shop.yaml --from 2026-01-02T03:04:05Z --limit 10
        """)

    @OptionGroup var options: TailOptions
    @Option(help: "Only this entity's rows: column=value for each of its columns; needs --view.")
    var entity: [String] = []

    func validate() throws {
      if !entity.isEmpty && options.view == nil {
        throw ValidationError("--entity names an entity of a view: add --view.")
      }
    }

    func run() throws {
      try reportingService {
        let plan = try DefinitionFile.compile(path: options.definitions)
        let wanted = try wantedKey(plan)
        let rows = SnapshotRows(plan)
        try options.print(Routing(plan).snapshotTopic, plan) { record, line in
          if let wanted, !wanted.takes(record.key) { return false }
          rows.describe(record, &line)
          return true
        }
      }
    }

    private func wantedKey(_ plan: Plan) throws -> WantedKey? {
      guard let view = try options.chosenView(plan) else { return nil }
      if entity.isEmpty { return WantedKey(bytes: StateKey.make(view: view.name, []), isWhole: false) }
      let key = try EntityArgument.key(entity, of: view, plan.sources[view.source])
      return WantedKey(bytes: StateKey.make(view: view.name, key), isWhole: true)
    }
  }
}

/// A record's key, or its beginning.
private struct WantedKey {
  let bytes: [UInt8]
  let isWhole: Bool

  func takes(_ key: UnsafeRawBufferPointer?) -> Bool {
    guard let key else { return false }
    return isWhole ? key.elementsEqual(bytes) : key.starts(with: bytes)
  }
}

/// Snapshots as rows. What a row can't say because the definitions have changed, or the record is none, it says.
struct SnapshotRows {
  private let plan: Plan

  init(_ plan: Plan) { self.plan = plan }

  func describe(_ record: LogRecord, _ line: inout JSONLine) {
    guard let value = record.value else {
      let parts = (record.key.map(Array.init) ?? []).split(
        separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
      let view = String(decoding: parts.first ?? [], as: UTF8.self)
      line.add("view", view)
      addEntity(parts.count == 2 ? Array(parts[1]) : [], plan.view(view), &line)
      return line.add("tombstone", .bool(true))
    }
    do {
      add(try Plumbline_Snapshot(serializedBytes: Array(value)), SnapshotRecord(value), &line)
    } catch {
      line.add("key", bytes: record.key.map(Array.init) ?? [])
      line.add("problem", "\(value.count) bytes that are no snapshot: \(error)")
    }
  }

  private func add(_ snapshot: Plumbline_Snapshot, _ record: SnapshotRecord?, _ line: inout JSONLine) {
    let view = plan.view(snapshot.view)
    line.add("view", snapshot.view)
    addEntity(Array(snapshot.entityKey), view, &line)
    line.add("position") {
      $0.add("topic", snapshot.topic)
      $0.add("partition", .int64(Int64(snapshot.partition)))
      $0.add("offset", .int64(snapshot.offset))
    }
    line.add("as_of", .timestamp(EventTime(microseconds: snapshot.asOf)))
    line.add("version", .int64(snapshot.version))
    line.add("fingerprint", fingerprintText(snapshot.fingerprint))
    guard let view, view.fingerprint == snapshot.fingerprint else {
      // Without the definitions that it was made by, only the order of the values is known.
      let values = snapshot.values + snapshot.sortedValues
      line.add("values", .list(values.map { FeatureValue($0) ?? .null }))
      return line.add("problem", "made by other definitions than these")
    }
    guard let values = record?.values(view) else {
      return line.add("problem", "its values are none that the view's features can have")
    }
    line.add("features") {
      for (feature, value) in zip(view.features, values) { $0.add(feature.name, value) }
    }
  }

  private func addEntity(_ key: [UInt8], _ view: ViewPlan?, _ line: inout JSONLine) {
    let columns = view?.entity ?? []
    guard !columns.isEmpty, let values = key.withUnsafeBytes({ EntityKey.values(of: $0, columns) }) else {
      return line.add("entity_key", bytes: key)
    }
    line.add("entity") {
      for (column, value) in zip(columns, values) { $0.add(column.name, value) }
    }
  }
}

extension FeatureValue {
  /// From an output record; nil if it is no value that a feature can have.
  init?(_ value: Plumbline_Value) {
    switch value.kind {
    case nil: self = .null
    case .int64(let number): self = .int64(number)
    case .double(let number) where number.isFinite: self = .double(number)
    case .double: return nil
    case .bool(let flag): self = .bool(flag)
    case .string(let text): self = .string(Text(text))
    case .timestamp(let microseconds): self = .timestamp(EventTime(microseconds: microseconds))
    case .list(let list):
      let values = list.values.compactMap(FeatureValue.init)
      guard values.count == list.values.count else { return nil }
      self = .list(values)
    }
  }
}
