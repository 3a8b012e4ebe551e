import Glibc
import Processor

/// A snapshot that waits on disk until the fold has come to its position.
struct SpilledSnapshot {
  /// The next offset to fold, at which the state was taken.
  var offset: Int64
  /// The name of the view.
  var view: String
  var key: [UInt8]
  /// The record's value.
  var value: [UInt8]
}

/// Sorts the snapshots of a topic by the partition that they were folded from and the position in it, on disk: memory
/// holds a buffer for each ascending run.
///
/// The snapshots of one task are in order within each partition of the snapshot topic, so each of those is one run;
/// merging the runs sorts them.
final class SnapshotSpill {
  private let folder: String
  private var lanes: [TopicPartition: Lane] = [:]

  /// The snapshots of one task.
  private final class Lane {
    let path: String
    let file: UnsafeMutablePointer<FILE>
    /// Where each run begins.
    var starts: [Int] = []
    var size = 0
    var lastOffset = Int64.max

    init(path: String) throws(SpillError) {
      guard let file = fopen(path, "w+") else { throw SpillError(path) }
      self.path = path
      self.file = file
    }

    deinit {
      fclose(file)
      unlink(path)
    }
  }

  /// A spill into files of a folder, which go with it.
  init(folder: String) { self.folder = folder }

  /// Adds a snapshot.
  func add(_ snapshot: SpilledSnapshot, of partition: TopicPartition) throws(SpillError) {
    let lane: Lane
    if let known = lanes[partition] {
      lane = known
    } else {
      lane = try Lane(path: "\(folder)/\(lanes.count).snapshots")
      lanes[partition] = lane
    }
    if snapshot.offset < lane.lastOffset || lane.starts.isEmpty { lane.starts.append(lane.size) }
    lane.lastOffset = snapshot.offset
    var bytes: [UInt8] = []
    for part in [Array(snapshot.view.utf8), snapshot.key, snapshot.value] {
      withUnsafeBytes(of: UInt32(part.count)) { bytes += $0 }
      bytes += part
    }
    withUnsafeBytes(of: snapshot.offset) { bytes.insert(contentsOf: $0, at: 0) }
    guard fwrite(bytes, 1, bytes.count, lane.file) == bytes.count else { throw SpillError(lane.path) }
    lane.size += bytes.count
  }

  /// Between two partitions of the snapshot topic: a new run begins.
  func endRuns() {
    for lane in lanes.values { lane.lastOffset = .max }
  }

  /// The snapshots of a partition in ascending order of offsets.
  func sorted(_ partition: TopicPartition) throws(SpillError) -> SortedSnapshots {
    guard let lane = lanes[partition] else { return SortedSnapshots([]) }
    guard fflush(lane.file) == 0 else { throw SpillError(lane.path) }
    var runs: [SpillRun] = []
    for (index, start) in lane.starts.enumerated() {
      let end = index + 1 < lane.starts.count ? lane.starts[index + 1] : lane.size
      runs.append(try SpillRun(path: lane.path, from: start, to: end))
    }
    return SortedSnapshots(runs)
  }
}

/// A merge of ascending runs.
struct SortedSnapshots {
  private var runs: [SpillRun]

  init(_ runs: [SpillRun]) { self.runs = runs.filter { $0.head != nil } }

  /// The offset of the next snapshot; nil at the end.
  var nextOffset: Int64? { runs.compactMap { $0.head?.offset }.min() }

  /// The next snapshot.
  mutating func next() throws(SpillError) -> SpilledSnapshot? {
    guard let offset = nextOffset, let index = runs.firstIndex(where: { $0.head?.offset == offset }) else {
      return nil
    }
    let snapshot = runs[index].head
    try runs[index].advance()
    if runs[index].head == nil { runs.remove(at: index) }
    return snapshot
  }
}

/// A run of a file, read from its beginning.
final class SpillRun {
  private(set) var head: SpilledSnapshot?
  private let path: String
  private let file: UnsafeMutablePointer<FILE>
  private var left: Int

  init(path: String, from start: Int, to end: Int) throws(SpillError) {
    self.path = path
    left = end - start
    guard let file = fopen(path, "r") else { throw SpillError(path) }
    self.file = file
    guard fseek(file, start, SEEK_SET) == 0 else { throw SpillError(path) }
    try advance()
  }

  deinit { fclose(file) }

  func advance() throws(SpillError) {
    head = nil
    guard left > 0 else { return }
    let offset = try bytes(8).withUnsafeBytes { $0.loadUnaligned(as: Int64.self) }
    let (view, key, value) = (try part(), try part(), try part())
    head = SpilledSnapshot(
      offset: offset, view: String(decoding: view, as: UTF8.self), key: key, value: value)
  }

  private func part() throws(SpillError) -> [UInt8] {
    try bytes(Int(try bytes(4).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }))
  }

  private func bytes(_ count: Int) throws(SpillError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard fread(&bytes, 1, count, file) == count else { throw SpillError(path) }
    left -= count
    return bytes
  }
}

/// The temporary files can't be written or read.
public struct SpillError: Error, Sendable, CustomStringConvertible {
  /// What happened, where, and what to do.
  public let description: String

  init(_ path: String) {
    description =
      "\(path): \(String(cString: strerror(errno))); set TMPDIR to a folder with room for the snapshot topic"
  }
}
