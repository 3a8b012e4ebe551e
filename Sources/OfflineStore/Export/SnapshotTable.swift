import FeatureCore
import Parquet

/// The exported table of a view: a row is a snapshot.
struct SnapshotTable {
  let view: ViewPlan
  let columns: [ParquetColumn]

  /// Columns that say where a row comes from, between the entity's and the features.
  private static let origin = [
    ParquetColumn("as_of", .scalar(.timestamp), isRequired: true),
    ParquetColumn("committed_at", .scalar(.timestamp), isRequired: true),
    ParquetColumn("position_topic", .scalar(.string), isRequired: true),
    ParquetColumn("position_partition", .scalar(.int64), isRequired: true),
    ParquetColumn("position_offset", .scalar(.int64), isRequired: true),
    ParquetColumn("fingerprint", .scalar(.string), isRequired: true),
    ParquetColumn("definitions_version", .scalar(.int64), isRequired: true),
  ]
  private static let state = ParquetColumn("state", .scalar(.string), isRequired: true, isBinary: true)

  private let fingerprint: Text

  private let hasStates: Bool

  /// The table of a view; `folder` stands in the error if a name is taken.
  init(_ view: ViewPlan, hasStates: Bool, folder: String) throws(TableError) {
    self.view = view
    self.hasStates = hasStates
    let own = view.entity.map { ParquetColumn($0.name, .scalar($0.type), isRequired: true) }
    let features = view.features.map { ParquetColumn($0.name, $0.type) }
    let origin = Self.origin + (hasStates ? [Self.state] : [])
    columns = own + origin + features
    fingerprint = Text(fingerprintText(view.fingerprint))
    try ExportTable.check(own + features, taken: origin, "view '\(view.name)'", folder)
  }

  /// A column of the view that has the name of one of every export; nil if none has.
  static func clash(_ view: ViewPlan, hasStates: Bool) -> String? {
    let taken = Set((origin + (hasStates ? [state] : [])).map(\.name)).union(ExportTable.folders)
    return (view.entity.map(\.name) + view.features.map(\.name)).first(where: taken.contains)
  }

  /// Appends a row. False, and nothing appended, if the record's entity or values are not this view's.
  func append(_ record: SnapshotRecord, committedAt: EventTime, to file: ExportFile) throws(TableError)
    -> Bool
  {
    guard SnapshotRecord.isText(record.entityKey),
      SnapshotRecord.isText(record.topic), let entity = EntityKey.values(of: record.entityKey, view.entity),
      let values = record.values(view)
    else { return false }
    for value in entity { file.append(value) }
    file.append(.timestamp(record.asOf))
    file.append(.timestamp(committedAt))
    file.append(.string(Text(record.topic)))
    file.append(.int64(record.partition))
    file.append(.int64(record.offset))
    file.append(.string(fingerprint))
    file.append(.int64(record.version))
    if hasStates { file.append(bytes: record.state) }
    for value in values { file.append(value) }
    try file.endRow()
    return true
  }
}
