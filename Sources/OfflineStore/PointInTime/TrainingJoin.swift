public import FeatureCore

/// Makes training rows: for each row of a spine, the features of its entities just before its time.
///
/// As happened, a row at t sees the events with ts < t in order of (ts, log order), whatever the order in which they were
/// written. So nothing of the labelled event is in its own features, and nothing later (I5). As served, it sees the
/// snapshot that had been committed before t. The states are folded and evaluated by the functions that serve.
///
/// First the spine is read, then events (by feeds) and snapshots are added, then `rows` joins them. Memory is bounded by
/// `JoinResources`, whatever the size of the spine and of the log: rows and events are sorted by entity and time, on disk
/// where they don't fit.
public final class TrainingJoin {
  /// The views whose features rows get.
  public let views: [JoinedView]
  /// The columns that the join adds to the spine's.
  public let added: TrainingColumns
  /// Snapshots that some row may see.
  public private(set) var snapshots = 0
  /// Snapshots of the spine's entities that other versions of the definitions made, by version.
  public private(set) var otherVersions: [Int64: Int] = [:]
  /// Snapshots of the spine's entities that other definitions of this version made.
  public private(set) var foreign = 0

  /// Columns of the spine's file that cannot be read and that nothing needs, a sentence each.
  public internal(set) var leftOut: [String] = []

  private let time: SpineTime
  private let version: Int64
  private let allowsMissing: Bool
  /// Snapshots that have come: their place in the log.
  private var arrivals: Int64 = 0
  private let budgets: [MemoryBudget]
  /// Of the views, and a last one of the label.
  private let lanes: [JoinLane]
  private(set) var spine: SpineTable?
  private var eventRows: (index: Int, source: SourcePlan, events: SpineEvents)?

  /// A join of a spine, whose rows' time is in a column, with views of a version of the definitions and perhaps a label. With
  /// a service the views are those that it reads, in their order, and rows get its columns. Rows that need events or snapshots
  /// that the logs have lost are an error, unless `allowsMissing`.
  public init(
    _ views: [JoinedView], version: Int, label: JoinedLabel? = nil, service: ServicePlan? = nil,
    time: SpineTime, hasAges: Bool = true, allowsMissing: Bool = false,
    resources: JoinResources = JoinResources()
  ) {
    self.version = Int64(version)
    self.allowsMissing = allowsMissing
    self.views = views
    self.time = time
    added = TrainingColumns(
      views.map(\.view), hasLabel: label != nil, hasAges: hasAges, service: service)
    let budgets = (0..<resources.workers).map { _ in
      MemoryBudget(limit: resources.memoryBytes / resources.workers, folder: resources.folder)
    }
    self.budgets = budgets
    lanes = views.map { JoinLane($0, budgets) } + (label.map { [JoinLane($0, budgets)] } ?? [])
  }

  /// Threads that may add events at once, each to its own feed.
  public var workers: Int { budgets.count }

  /// Rows of the spine.
  public var count: Int { spine?.count ?? 0 }

  // MARK: Input

  var timeColumn: String { time.column }

  /// The spine's columns without which there is no row.
  var neededColumns: Set<String> { Set([time.column] + views.flatMap { $0.view.entity.map(\.name) }) }

  func beginSpine(
    _ path: String, _ columns: [String], types: [FeatureType?]? = nil
  ) throws(TableError) -> SpineTable {
    precondition(spine == nil, "Cannot read two spines")
    let spine = try SpineTable(
      path: path, columns: columns, types: types, time: time, lanes: lanes, added: added.names,
      budget: budgets[0])
    self.spine = spine
    return spine
  }

  /// Makes rows of the events of a source that a view's filter takes, as they are added to the feed, in their order; of several
  /// feeds, as their lines are added to the join. `index` is what they are added under.
  public func takeRows(_ filter: ViewPlan, of source: SourcePlan, index: Int) throws(TableError) {
    let spine = try beginSpine(
      source.source.name, source.schema.columns.map(\.name), types: SpineEvents.types(source.schema))
    eventRows = (index, source, try SpineEvents(filter, source.schema, spine))
    for lane in lanes { lane.forgetEntities() }
  }

  /// Adds events, once the spine has been read, as one of several `workers`, at most the resources'.
  public func feed(worker: Int = 0, of workers: Int = 1) -> JoinFeed {
    JoinFeed(lanes, rows: eventRows, worker: worker, isAlone: workers == 1)
  }

  /// Makes rows of lines that feeds have returned, in the order of the log; on the thread of the first feed, or when all feeds are
  /// done.
  public func add(_ lines: RowLines) throws(TableError) { try eventRows?.events.add(lines) }

  /// Adds a snapshot, once the spine has been read. It is stamped with the millisecond of its commit; a row sees it from
  /// the next millisecond on, so that nothing of what followed the row is in it. Those of an entity come in the order of
  /// the log. Versions of the definitions that run side by side are told apart: only snapshots of the own one are used,
  /// since what another has served stands at other positions.
  public func add(_ snapshot: SnapshotRecord, committedMilliseconds: Int64) throws(TableError) {
    let (end, isLater) = committedMilliseconds.addingSaturated(1).multipliedReportingOverflow(by: 1_000)
    guard !isLater else { return }
    for lane in lanes {
      guard let header = lane.snapshotHeaderBytes, lane.view.name.utf8.elementsEqual(snapshot.view) else {
        continue
      }
      if snapshot.version == version, snapshot.fingerprint == lane.view.fingerprint {
        lane.note(snapshotAt: end - 1)
      }
      let hash = Hash64.hash(snapshot.entityKey)
      guard lane.knows(hash) else { continue }
      guard snapshot.version == version else {
        otherVersions[snapshot.version, default: 0] += 1
        continue
      }
      guard snapshot.fingerprint == lane.view.fingerprint else {
        foreign += 1
        continue
      }
      // A row sees what is earlier than its time.
      guard lane.wants(hash, time: end - 1) else { continue }
      snapshots += 1
      arrivals += 1
      let bytes = ServedBytes(snapshot)
      try lane.add(
        worker: 0, key: snapshot.entityKey, hash: hash, time: end - 1, order: arrivals,
        bytesMax: header + bytes.count
      ) { room in
        if header > 0 { ComparedRecord.writeSnapshot(to: room) }
        return header + bytes.write(to: room + header)
      }
    }
  }

  /// Takes notice of events of a source that its log has lost; which, may depend on the entity.
  public func note(
    lostEventsOf source: Int, _ lost: (_ entity: [EntityColumn]) -> LostRecords?
  ) {
    for lane in lanes where lane.sourceIndex == source { lane.lostEvents = lost(lane.view.entity) }
  }

  /// Takes notice of snapshots that their log has lost.
  public func note(lostSnapshots lost: (_ view: ViewPlan) -> LostRecords?) {
    for lane in lanes where lane.snapshotHeaderBytes != nil { lane.lostSnapshots = lost(lane.view) }
  }

  // MARK: Output

  /// Joins, once everything has been added: the rows of the spine, to be read once.
  public func rows() throws(TableError) -> JoinedRows {
    try JoinedRows(try makeResults(), lanes.map(\.results), added)
  }

  /// Compares, once everything has been added, what was served with what happened: views whose moment is `compared`.
  public func comparison() throws(TableError) -> ComparisonReport {
    let spine = try makeResults()
    var report = ComparisonReport(rows: spine.count, views: [])
    for lane in lanes {
      var view = ComparisonReport.ViewReport(lane.view)
      let results = try SortedRecords.Cursor(lane.results)
      for row in 0..<spine.count {
        if let result = try results.take(UInt64(row)) { view.add(result) }
      }
      report.views.append(view)
    }
    return report
  }

  /// What rows lack, once they have been joined, for people.
  public var lacking: [String] {
    lanes.flatMap { $0.lackErrors(rows: count) }.map { "\($0.path): \($0.problem)" }
  }

  private func makeResults() throws(TableError) -> SpineTable {
    guard let spine else { preconditionFailure("Cannot join without a spine") }
    // The results need room, and what is being read can't be moved.
    let wanted = spine.count * lanes.reduce(0) { $0 + Self.resultBytes($1) } / budgets.count
    if budgets.contains(where: { $0.used + wanted > $0.limit }) { for lane in lanes { try lane.spill() } }
    for lane in lanes { try lane.finishAdding() }
    for lane in lanes { try lane.makeResults(budgets) }
    if !allowsMissing, let error = lanes.lazy.flatMap({ $0.lackErrors(rows: spine.count) }).first {
      throw error
    }
    return spine
  }

  /// About as many bytes as the result of a row takes while it is sorted.
  private static func resultBytes(_ lane: JoinLane) -> Int { 64 + 16 * lane.view.features.count }
}
