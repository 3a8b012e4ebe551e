import FeatureCore
import Parquet

/// The tables of answers: a row is a record. Of each view that services read, what it said; of each service, what came with
/// requests and what was computed. `request_id` and `row` name the row of an answer in all of them.
final class ServedTables: ExportTables {
  let tables: [ExportTable]
  private let version: Int64
  /// By table; those of services follow.
  private let views: [(plan: ViewPlan, fingerprint: Text)]
  private let services: [ServicePlan]

  private static let naming = [
    ParquetColumn("request_id", .scalar(.string), isRequired: true),
    ParquetColumn("row", .scalar(.int64), isRequired: true),
    ParquetColumn("requested_at", .scalar(.timestamp), isRequired: true),
    ParquetColumn("committed_at", .scalar(.timestamp), isRequired: true),
    ParquetColumn("definitions_version", .scalar(.int64), isRequired: true),
  ]
  /// Nothing stands in those of the state if there was none.
  private static let origin = [
    ParquetColumn("asked_of", .scalar(.string)),
    ParquetColumn("evaluated_at", .scalar(.timestamp), isRequired: true),
    ParquetColumn("as_of", .scalar(.timestamp)),
    ParquetColumn("position_topic", .scalar(.string)),
    ParquetColumn("position_partition", .scalar(.int64)),
    ParquetColumn("position_offset", .scalar(.int64)),
    ParquetColumn("fingerprint", .scalar(.string), isRequired: true),
  ]

  init(_ plan: Plan, folder: String) throws(TableError) {
    version = Int64(plan.version)
    let read = Set(plan.services.flatMap { $0.reads.map(\.view) }).sorted().map { plan.views[$0] }
    views = read.map { ($0, Text(fingerprintText($0.fingerprint))) }
    services = plan.services.filter { $0.computes }
    var tables: [ExportTable] = []
    for view in read {
      let entity = view.entity.map { ParquetColumn($0.name, .scalar($0.type), isRequired: true) }
      let features = view.features.map { ParquetColumn($0.name, $0.type) }
      try ExportTable.check(
        entity + features, taken: Self.naming + Self.origin, "view '\(view.name)'", folder)
      tables.append(
        ExportTable(
          name: "view=\(view.name)", columns: Self.naming + entity + Self.origin + features,
          metadata: [
            ("plumb.view", view.name), ("plumb.fingerprint", fingerprintText(view.fingerprint)),
          ]))
    }
    for service in services {
      let own =
        service.service.inputs.map { ParquetColumn($0.name, .scalar($0.type)) }
        + service.columns.filter(\.isDerived).map { ParquetColumn($0.name, $0.type) }
      try ExportTable.check(own, taken: Self.naming, "service '\(service.name)'", folder)
      tables.append(
        ExportTable(
          name: "service=\(service.name)", columns: Self.naming + own,
          metadata: [("plumb.service", service.name)]))
    }
    self.tables = tables
  }

  func judge(_ value: UnsafeRawBufferPointer, _ filter: inout RepeatFilter) -> ExportFate {
    guard let record = ServedRecord(value) else { return .unreadable }
    guard record.version == version else { return .ofVersion(record.version) }
    if record.view.isEmpty {
      let index = services.firstIndex { $0.name.utf8.elementsEqual(record.service) }
      return index.map { .row(table: views.count + $0) } ?? .unreadable
    }
    let index = views.firstIndex { $0.plan.name.utf8.elementsEqual(record.view) }
    return index.map { .row(table: $0) } ?? .unreadable
  }

  func append(
    _ value: UnsafeRawBufferPointer, _ table: Int, committedAt: EventTime, to file: ExportFile
  ) throws(TableError) -> Bool {
    guard let record = ServedRecord(value), SnapshotRecord.isText(record.requestID),
      SnapshotRecord.isText(record.service), SnapshotRecord.isText(record.topic)
    else { return false }
    let own =
      table < views.count ? view(record, views[table]) : service(record, services[table - views.count])
    guard let own else { return false }
    file.append(.string(Text(record.requestID)))
    file.append(.int64(record.row))
    file.append(.timestamp(record.requestedAt))
    file.append(.timestamp(committedAt))
    file.append(.int64(record.version))
    for value in own { file.append(value) }
    try file.endRow()
    return true
  }

  private func view(
    _ record: ServedRecord, _ view: (plan: ViewPlan, fingerprint: Text)
  ) -> [FeatureValue]? {
    guard record.fingerprint == view.plan.fingerprint, SnapshotRecord.isText(record.entityKey),
      let entity = EntityKey.values(of: record.entityKey, view.plan.entity),
      let values = record.values(view.plan)
    else { return nil }
    let hasState = !record.topic.isEmpty
    let origin: [FeatureValue] = [
      record.service.isEmpty ? .null : .string(Text(record.service)), .timestamp(record.evaluatedAt),
      hasState ? .timestamp(record.asOf) : .null, hasState ? .string(Text(record.topic)) : .null,
      hasState ? .int64(record.partition) : .null, hasState ? .int64(record.offset) : .null,
      .string(view.fingerprint),
    ]
    return entity + origin + values
  }

  private func service(_ record: ServedRecord, _ service: ServicePlan) -> [FeatureValue]? {
    guard let inputs = record.inputs(service.service.inputs.map { .scalar($0.type) }),
      let derived = record.values(service.columns.filter(\.isDerived).map(\.type))
    else { return nil }
    return inputs + derived
  }
}
