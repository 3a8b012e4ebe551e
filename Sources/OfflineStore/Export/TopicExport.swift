public import FeatureCore
import Parquet

/// Writes the records of a topic to Parquet files, each row once whatever crash comes in between.
///
/// A partition is cut into segments by rules that read the log only (`ExportLimits`). Of a segment each table has a file,
/// named by offsets; the segment is listed in the manifest once all have their names. After a crash, unlisted files are
/// removed, and the partition is read again from where the manifest ends.
public final class TopicExport {
  /// What happened to the records.
  public struct Counts: Sendable {
    /// Rows in completed files.
    public var rows = 0
    /// Completed files.
    public var files = 0
    /// Left out: snapshots that were written again by an at-least-once writer.
    public var repeats = 0
    /// Left out: tombstones.
    public var tombstones = 0
    /// Left out: records of views that are not chosen.
    public var others = 0
    /// Left out: records that other versions of the definitions made, by version.
    public var versions: [Int64: Int] = [:]
    /// Left out: what other definitions of this version made, and what is no record of the topic's kind.
    public var unreadable = 0
  }

  /// Where reading must begin, and from where on records become rows.
  public struct Start: Sendable {
    /// The first offset to read: before `next`, so that repeats of what was exported are found.
    public var first: Int64
    /// The first offset to export.
    public var next: Int64
  }

  /// What happened so far.
  public private(set) var counts = Counts()
  /// Files that a crash had left and that were removed.
  public let leftovers: Int

  private let folder: ExportFolder
  private let version: Int64
  private let tables: any ExportTables
  private let limits: ExportLimits
  private var manifest: ExportManifest
  private var partitions: [Int32: Partition] = [:]

  private final class Partition {
    let index: Int32
    var next: Int64
    var segment: Segment?
    var files: [ExportFile?]
    var filter = RepeatFilter()
    var counts = Counts()

    init(_ index: Int32, next: Int64, files: Int) {
      self.index = index
      self.next = next
      self.files = Array(repeating: nil, count: files)
    }
  }

  /// Opens or begins an export of some views of one version into a folder. `others` are the definitions' views that are
  /// not wanted. With states, rows have the bytes that their values are made of.
  public convenience init(
    folder path: String, topic: String, version: Int, views: [ViewPlan], others: [ViewPlan] = [],
    hasStates: Bool = false, limits: ExportLimits = ExportLimits()
  ) throws(TableError) {
    let tables = try SnapshotTables(
      views, others: others, version: Int64(version), hasStates: hasStates, folder: path)
    try self.init(
      folder: path, topic: topic, version: version, hasStates: hasStates, tables: tables, limits: limits)
  }

  /// Opens or begins an export of the answers of a plan's services into a folder.
  public convenience init(
    folder path: String, answersOf plan: Plan, topic: String, limits: ExportLimits = ExportLimits()
  ) throws(TableError) {
    try self.init(
      folder: path, topic: topic, version: plan.version, hasStates: false,
      tables: try ServedTables(plan, folder: path), limits: limits)
  }

  private init(
    folder path: String, topic: String, version: Int, hasStates: Bool, tables: any ExportTables,
    limits: ExportLimits
  ) throws(TableError) {
    precondition(limits.problem == nil, "Cannot export: \(limits.problem ?? "")")
    folder = ExportFolder(path: path, topic: topic)
    self.version = Int64(version)
    self.tables = tables
    self.limits = limits
    try folder.makeFolders(of: "")
    let header = ExportManifest.Header(topic: topic, version: self.version, hasStates: hasStates)
    manifest = try ExportManifest(folder: path, header)
    let progress = manifest.progress
    leftovers = try folder.removeUnlisted { partition, first in first < progress[partition]?.next ?? 0 }
  }

  /// Begins with a partition whose log has the offsets from `low` to before `high`.
  public func begin(_ partition: Int32, low: Int64, high: Int64) throws(TableError) -> Start {
    let known = manifest.progress[partition]
    let next = known?.next ?? low
    guard next <= high else {
      throw gap(
        partition, "was exported up to offset \(next), but the log ends at \(high)",
        "the topic was created anew")
    }
    guard next >= low else {
      throw gap(
        partition, "was exported up to offset \(next), but the log begins at \(low)",
        "retention has removed records")
    }
    partitions[partition] = Partition(partition, next: next, files: tables.tables.count)
    return Start(first: max(low, known?.first ?? low), next: next)
  }

  private func gap(_ partition: Int32, _ problem: String, _ cause: String) -> TableError {
    TableError(
      path: folder.path, problem: "partition \(partition) of '\(folder.topic)' \(problem): \(cause)",
      remedy: "export into another folder", isMistake: false)
  }

  /// Adds the next record of a partition. Without a timestamp it counts to the segment that is open.
  public func add(
    _ partition: Int32, offset: Int64, timestampMilliseconds: Int64?, value: UnsafeRawBufferPointer?
  ) throws(TableError) {
    guard let place = partitions[partition] else {
      preconditionFailure("Cannot export partition \(partition) before its beginning")
    }
    guard offset >= place.next else {
      if let value { _ = tables.judge(value, &place.filter) }
      return
    }
    let time = timestampMilliseconds ?? place.segment?.startMilliseconds(limits) ?? 0
    if let segment = place.segment, segment.isOver(before: time, limits) { try close(place, next: offset) }
    if place.segment == nil {
      // What came before belongs to the last segment, also what was only read for its repeats.
      place.filter.segmentEnded()
      place.segment = Segment(first: place.next, timestamp: time, limits)
    }
    place.segment?.add(offset: offset, bytes: value?.count ?? 0)
    guard let value else { return place.counts.tombstones += 1 }
    switch tables.judge(value, &place.filter) {
    case .unreadable: place.counts.unreadable += 1
    case .ofVersion(let version): place.counts.versions[version, default: 0] += 1
    case .other: place.counts.others += 1
    case .repeated: place.counts.repeats += 1
    case .row(let table):
      let file = if let open = place.files[table] { open } else { try newFile(table, place) }
      place.files[table] = file
      let isRow = try tables.append(
        value, table, committedAt: EventTime(microseconds: time * 1_000), to: file)
      if isRow { place.counts.rows += 1 } else { place.counts.unreadable += 1 }
    }
  }

  private func newFile(_ table: Int, _ place: Partition) throws(TableError) -> ExportFile {
    // Its end is not known yet: it is named for the beginning, and renamed to its name when it is complete.
    let path = self.path(table, place, last: .max)
    try folder.makeFolders(of: path)
    var options = ParquetOptions()
    let share = limits.bufferBytes / max(1, partitions.count * tables.tables.count)
    options.rowGroupBytes = min(max(share, 1 << 20), 64 << 20)
    options.metadata = tables.tables[table].metadata + [("plumb.version", "\(version)")]
    return try ExportFile(
      path: "\(folder.path)/\(path)", columns: tables.tables[table].columns, options: options)
  }

  private func path(_ table: Int, _ place: Partition, last: Int64) -> String {
    guard let segment = place.segment else { preconditionFailure("Cannot name a file without a segment") }
    return folder.file(
      table: tables.tables[table].name, milliseconds: segment.startMilliseconds(limits),
      partition: place.index,
      first: segment.first, last: last)
  }

  /// Completes segments whose time is over, so that readers see them although nothing more is written.
  public func closeExpired(nowMilliseconds now: Int64) throws(TableError) {
    for place in partitions.values.sorted(by: { $0.index < $1.index }) {
      if let segment = place.segment, segment.deadline(limits) < now { try close(place, next: segment.next) }
    }
  }

  /// Completes everything that was read: partitions up to these offsets.
  public func finish(_ ends: [(partition: Int32, next: Int64)]) throws(TableError) {
    for end in ends {
      guard let place = partitions[end.partition], let segment = place.segment else { continue }
      try close(place, next: max(end.next, segment.next))
    }
  }

  /// Gives the files of a segment their names and lists them.
  private func close(_ place: Partition, next: Int64) throws(TableError) {
    guard let segment = place.segment else { return }
    var files: [(path: String, file: ExportFile)] = []
    for (table, file) in place.files.enumerated() {
      guard let file, file.rowCount > 0 else { continue }
      let path = self.path(table, place, last: next - 1)
      try file.finish(as: "\(folder.path)/\(path)")
      try folder.synchronize(path)
      files.append((path, file))
    }
    let line = line(segment, place, next: next, files)
    try manifest.append(
      line, partition: place.index, ExportManifest.Progress(first: segment.first, next: next))
    counts.add(place.counts, files: files.count)
    place.counts = Counts()
    place.files = Array(repeating: nil, count: tables.tables.count)
    place.next = next
    place.segment = nil
  }

  private func line(
    _ segment: Segment, _ place: Partition, next: Int64, _ files: [(path: String, file: ExportFile)]
  ) -> [UInt8] {
    let from = RFC3339.format(EventTime(microseconds: segment.startMilliseconds(limits) * 1_000))
    let numbers = [
      ("partition", Int64(place.index)), ("first", segment.first), ("next", next),
      ("rows", Int64(place.counts.rows)),
      ("repeats", Int64(place.counts.repeats)), ("tombstones", Int64(place.counts.tombstones)),
      ("others", Int64(place.counts.others)),
      ("versions", Int64(place.counts.versions.values.reduce(0, +))),
      ("unreadable", Int64(place.counts.unreadable)),
    ]
    let list = files.map {
      ExportManifest.entry(
        ListedFile(
          path: $0.path, rows: $0.file.rowCount, bytes: $0.file.byteCount, checksum: $0.file.checksum.value))
    }
    let fields =
      numbers.map { "\"\($0.0)\":\($0.1)" } + [
        "\"from\":\"\(from)\"", "\"files\":[\(list.joined(separator: ","))]",
      ]
    return Array("{\(fields.joined(separator: ","))}\n".utf8)
  }
}

extension TopicExport.Counts {
  fileprivate mutating func add(_ other: Self, files: Int) {
    rows += other.rows
    self.files += files
    repeats += other.repeats
    tombstones += other.tombstones
    others += other.others
    versions.merge(other.versions, uniquingKeysWith: +)
    unreadable += other.unreadable
  }
}
