public import FeatureCore
import Glibc
import Parquet

/// The snapshots of an export with states, as they stood in the topic: those of an entity in the order of the log.
///
/// Only files that the manifest lists are read, so an export may be writing to the folder. In memory is a page of each
/// column that is needed.
public struct ExportedSnapshots {
  private let folder: ExportFolder
  private let progress: [Int32: ExportManifest.Progress]
  private let begins: [Int32: (first: Int64, time: EventTime)]
  private let listed: [ListedFile]
  /// Whether an export was writing to the folder: then there may be files that it is about to list.
  private let isGrowing: Bool

  /// Opens an export of a version of the definitions.
  public init(folder path: String, version: Int) throws(TableError) {
    let manifest = "\(path)/\(ExportManifest.name)"
    let descriptor = open(manifest, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw TableError(
        path: manifest, problem: "cannot be opened: \(systemText(errno))",
        remedy: "name the folder that 'plumb export' wrote to", isMistake: false)
    }
    defer { _ = close(descriptor) }
    guard let text = try ManifestText.read(descriptor, manifest) else {
      throw TableError(path: manifest, problem: "is empty", remedy: "export the snapshots first")
    }
    guard text.header.version == Int64(version) else {
      throw TableError(
        path: manifest, line: 1,
        problem:
          "this is an export of version \(text.header.version), and the definitions are version \(version)",
        remedy: "use the definitions of that version, or its folder")
    }
    guard text.header.hasStates else {
      throw TableError(
        path: manifest, line: 1, problem: "this is an export without states",
        remedy: "export with --with-state into another folder")
    }
    folder = ExportFolder(path: path, topic: text.header.topic)
    progress = text.progress
    begins = text.begins
    listed = text.files
    isGrowing = flock(descriptor, LOCK_SH | LOCK_NB) != 0
  }

  /// What snapshots the topic had lost before it was exported; nil if none. Which partition an entity's were in isn't
  /// known. `maxAhead` is how far an event may be ahead of its record.
  public func lost(maxAhead: Int64) -> LostRecords? {
    let cut = begins.filter { $0.value.first > 0 }
    guard let latest = cut.max(by: { $0.value.time < $1.value.time }) else { return nil }
    return LostRecords(
      until: [latest.value.time.microseconds.addingSaturated(maxAhead)], key: .other,
      description:
        "the export of \(folder.topic)-\(latest.key) begins at offset \(latest.value.first), of \(RFC3339.format(latest.value.time))"
    )
  }

  /// Passes on every snapshot of a view, with the time of its commit. A snapshot is valid while `body` runs.
  public func read<Failure: Error>(
    _ view: ViewPlan, _ body: (SnapshotRecord, _ committedMilliseconds: Int64) throws(Failure) -> Void
  ) throws {
    let prefix = "view=\(view.name)/"
    let listed = Dictionary(
      self.listed.filter { $0.path.hasPrefix(prefix) }.map { ($0.path, $0) }, uniquingKeysWith: { $1 })
    // The files of what an export is writing come after what it has listed.
    let files = folder.files(view: view.name) { partition, first in
      !isGrowing || first < progress[partition]?.next ?? 0
    }
    if let extra = files.first(where: { listed[$0] == nil }) {
      throw TableError(
        path: "\(folder.path)/\(extra)",
        problem: "is not listed in the manifest: that has lost a line, or an export was interrupted",
        remedy: "restore the manifest, or let the export run once more, which puts it right")
    }
    let found = Set(files)
    if let lost = listed.keys.filter({ !found.contains($0) }).min() {
      throw TableError(
        path: "\(folder.path)/\(lost)", problem: "is listed in the manifest, and is not there",
        remedy: "restore the file, or export anew into another folder")
    }
    let rows = ExportedRows(view)
    for file in files {
      guard let entry = listed[file] else { continue }
      try entry.check(in: folder.path)
      let count = try rows.read("\(folder.path)/\(file)", body)
      guard count == entry.rows else {
        throw TableError(
          path: "\(folder.path)/\(file)",
          problem: "has \(count) rows, and the manifest lists \(entry.rows)",
          remedy: "restore the file or the manifest, or export anew into another folder")
      }
    }
  }
}

/// The rows of an exported view as snapshots.
private struct ExportedRows {
  private let view: ViewPlan
  private let name: Text
  private let fingerprint: Text
  private let columns: [String]
  /// Rows that are decoded at a time: a state may be large.
  private static let batchRowsMax = 256

  init(_ view: ViewPlan) {
    self.view = view
    name = Text(view.name)
    fingerprint = Text(fingerprintText(view.fingerprint))
    columns =
      view.entity.map(\.name) + [
        "committed_at", "position_topic", "position_partition", "position_offset", "fingerprint",
        "definitions_version", "state",
      ]
  }

  /// Returns how many there were.
  func read<Failure: Error>(
    _ path: String, _ body: (SnapshotRecord, Int64) throws(Failure) -> Void
  ) throws -> Int {
    var count = 0
    do {
      var reader = try ParquetReader(
        ParquetInput(path: path), columns: columns, batchRowsMax: Self.batchRowsMax)
      guard reader.columns.map(\.type) == expectedTypes, reader.columns.allSatisfy(\.isRequired) else {
        throw TableError(
          path: path, problem: "its columns are not those of view '\(view.name)'",
          remedy: "use the definitions that it was exported with")
      }
      while let batch = try reader.next() {
        for row in 0..<batch.rowCount { try read(batch, row, body) }
        count += batch.rowCount
      }
    } catch let error as ParquetError {
      throw TableError(
        path: error.path, problem: error.problem, remedy: error.remedy, isMistake: error.isMistake)
    }
    return count
  }

  private var expectedTypes: [FeatureType] {
    view.entity.map { .scalar($0.type) } + [
      .scalar(.timestamp), .scalar(.string), .scalar(.int64), .scalar(.int64), .scalar(.string),
      .scalar(.int64),
      .scalar(.string),
    ]
  }

  private func read<Failure: Error>(
    _ batch: ParquetBatch, _ row: Int, _ body: (SnapshotRecord, Int64) throws(Failure) -> Void
  ) throws(Failure) {
    let width = view.entity.count
    guard let key = EntityKey.make((0..<width).map { batch.columns[$0].value(row) }, view.entity) else {
      return
    }
    let origin = batch.columns[width...]
    func integer(_ index: Int) -> Int64 { Int64(bitPattern: origin[width + index].bits(row)) }
    let made = origin[width + 4].withBytes(row) { Text($0) }
    let topic = origin[width + 1].withBytes(row) { Text($0) }
    let state = origin[width + 6].withBytes(row) { [UInt8]($0) }
    try name.utf8.withBytes { (name) throws(Failure) in
      try key.withBytes { (key) throws(Failure) in
        try topic.utf8.withBytes { (topic) throws(Failure) in
          try state.withBytes { (state) throws(Failure) in
            let snapshot = SnapshotRecord(
              view: name, entityKey: key, topic: topic, partition: integer(2), offset: integer(3),
              fingerprint: made == fingerprint ? view.fingerprint : ~view.fingerprint, version: integer(5),
              state: state)
            try body(snapshot, integer(0) / 1_000)
          }
        }
      }
    }
  }
}

extension [UInt8] {
  fileprivate func withBytes<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(Failure) in try body(bytes) }
  }
}
