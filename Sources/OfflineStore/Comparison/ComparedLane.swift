import FeatureCore

/// What a lane that compares holds besides rows.
enum ComparedRecord {
  case event(inputs: UnsafeRawBufferPointer, offset: Int64?, arrived: Int64)
  case forwarded(inputs: UnsafeRawBufferPointer, offset: Int64)
  case snapshot(ServedBytes)

  private enum Kind: UInt8 { case event, forwarded, snapshot }

  static let headerBytes = 17
  private static let unknown = Int64.min

  init(_ bytes: UnsafeRawBufferPointer) {
    let offset = bytes.loadUnaligned(fromByteOffset: 1, as: Int64.self)
    let rest = UnsafeRawBufferPointer(rebasing: bytes[Self.headerBytes...])
    switch Kind(rawValue: bytes[0]) {
    case .event:
      let arrived = bytes.loadUnaligned(fromByteOffset: 9, as: Int64.self)
      self = .event(inputs: rest, offset: offset == Self.unknown ? nil : offset, arrived: arrived)
    case .forwarded: self = .forwarded(inputs: rest, offset: offset)
    case .snapshot: self = .snapshot(ServedBytes(rest))
    case nil: preconditionFailure("Cannot compare a record of kind \(bytes[0])")
    }
  }

  static func writeEvent(offset: Int64?, arrived: Int64, to bytes: UnsafeMutableRawPointer) {
    write(.event, offset ?? unknown, arrived, to: bytes)
  }

  static func writeForwarded(offset: Int64, to bytes: UnsafeMutableRawPointer) {
    write(.forwarded, offset, 0, to: bytes)
  }

  /// `ServedBytes` follow.
  static func writeSnapshot(to bytes: UnsafeMutableRawPointer) {
    write(.snapshot, 0, 0, to: bytes)
  }

  private static func write(
    _ kind: Kind, _ offset: Int64, _ arrived: Int64, to bytes: UnsafeMutableRawPointer
  ) {
    bytes.storeBytes(of: kind.rawValue, as: UInt8.self)
    bytes.storeBytes(of: offset, toByteOffset: 1, as: Int64.self)
    bytes.storeBytes(of: arrived, toByteOffset: 9, as: Int64.self)
  }
}

/// Compared: the features that differ, each with its two values and their cause.
final class ComparedProgress: EntityProgress {
  private let view: ViewPlan
  private let entity: EntityComparison
  /// The time of the view's first snapshot, whatever its entity.
  private let firstSnapshot: Int64
  private let bytes = ValueBuffer()
  private let lostEvents: LostRecords?
  private let lostSnapshots: LostRecords?
  private var eventsUntil = Int64.min
  private var snapshotsUntil = Int64.min
  private var watch: LossWatch
  private var isServed = false

  init(
    _ view: ViewPlan, firstSnapshot: Int64, _ lostEvents: LostRecords?, _ lostSnapshots: LostRecords?
  ) {
    self.view = view
    self.firstSnapshot = firstSnapshot
    self.lostEvents = lostEvents
    self.lostSnapshots = lostSnapshots
    watch = LossWatch(view)
    let fold = ViewFold(view)
    entity = EntityComparison(view) { inputs, time, state in
      inputs.withUnsafeBytes { fold.fold(inputs: $0, time: time, into: &state) }
    }
  }

  var result: UnsafeRawBufferPointer { bytes.contents }

  func reset(_ key: UnsafeRawBufferPointer) {
    entity.reset()
    isServed = false
    eventsUntil = lostEvents?.until(key) ?? .min
    snapshotsUntil = lostSnapshots?.until(key) ?? .min
    watch.reset(lostUntil: eventsUntil)
  }

  /// Rows before the view's first snapshot are not compared.
  func note(rowAt time: Int64, in lacks: inout LaneLacks) {
    guard firstSnapshot < time else { return }
    if eventsUntil > .min, watch.lacksEvents(rowAt: time, lostUntil: eventsUntil) {
      lacks.events.add(rowAt: time)
    }
    if snapshotsUntil > .min, !isServed, view.sees(eventAt: snapshotsUntil, from: time) {
      lacks.snapshots.add(rowAt: time)
    }
  }

  func add(_ event: UnsafeRawBufferPointer, time: Int64, order: Int64) {
    switch ComparedRecord(event) {
    case .event(let inputs, let offset, let arrived):
      watch.add(eventAt: time)
      entity.add(inputs, time: time, offset: offset, arrived: arrived)
    case .forwarded(let inputs, let offset): entity.addForwarded(inputs, time: time, offset: offset)
    case .snapshot(let snapshot):
      isServed = true
      entity.add(snapshot: snapshot.state, offset: snapshot.position.offset)
    }
  }

  func makeResult(time: Int64) throws(TableError) {
    bytes.removeAll()
    bytes.append(.bool(firstSnapshot < time))
    guard firstSnapshot < time else { return }
    let row: EntityComparison.Row
    do throws(StateError) {
      row = try entity.row(at: time)
    } catch {
      throw TableError(
        path: "view '\(view.name)'", problem: "a snapshot cannot be read: \(error)",
        remedy: "leave its time out of the spine, or make the snapshots anew by replay")
    }
    for difference in row.differences {
      guard let cause = DifferenceCause.allCases.firstIndex(of: difference.cause) else { continue }
      bytes.append(.int64(Int64(difference.feature)))
      bytes.append(.int64(Int64(cause)))
      bytes.append(difference.happened)
      bytes.append(difference.served)
    }
    bytes.append(.null)
  }
}

extension ComparisonReport.ViewReport {
  /// Adds what `ComparedProgress` made of a row.
  mutating func add(_ result: UnsafeRawBufferPointer) {
    var parser = ValueParser(result)
    guard parser.value() == .bool(true) else { return addUnserved() }
    var differences: [RowDifference] = []
    while case .int64(let index) = parser.value(), case .int64(let cause) = parser.value() {
      differences.append(
        RowDifference(
          feature: Int(index), cause: DifferenceCause.allCases[Int(cause)], happened: parser.value(),
          served: parser.value()))
    }
    add(differences)
  }
}
