import Processor

/// The topic of a table as its capture writes it: rows and deletions in transactions that tell how far they reach. One thread.
final class TableTopic<Log: CaptureLog> {
  let table: CapturedTable
  let limits: CaptureLimits
  var status: CaptureStatus
  private let log: Log
  private let isStopping: () -> Bool
  private let report: (CaptureStatus) -> Void

  init(
    _ table: CapturedTable, _ log: Log, limits: CaptureLimits, status: CaptureStatus,
    isStopping: @escaping () -> Bool, report: @escaping (CaptureStatus) -> Void
  ) {
    self.table = table
    self.log = log
    self.limits = limits
    self.status = status
    self.isStopping = isStopping
    self.report = report
  }

  // MARK: What it is doing

  var isAskedToStop: Bool { isStopping() }

  func enter(_ phase: CaptureStatus.Phase) {
    status.phase = phase
    observe()
  }

  func observe() { report(status) }

  func pause() throws(CaptureFault) {
    observe()
    if isStopping() { throw .stopping }
  }

  // MARK: Reading

  func progress() throws(CaptureFault) -> CaptureProgress? { try log.progress(of: table.topic) }

  func forEachRecord(
    _ body: (_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ sequence: Int64)
      throws(CaptureFault) ->
      Void
  ) throws(CaptureFault) {
    try log.forEachRecord(of: table.topic, body)
  }

  // MARK: Writing

  func begin() throws(CaptureFault) { try onLog { () throws(LogError) in try log.begin() } }

  func send(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) throws(CaptureFault) {
    try onLog { () throws(LogError) in
      try log.send(topic: table.topic, key: key, value: value, timestampMilliseconds: nil)
    }
    status.changes += 1
  }

  /// `time` is in microseconds; the record has its milliseconds.
  func delete(key: UnsafeRawBufferPointer, at time: Int64) throws(CaptureFault) {
    try onLog { () throws(LogError) in
      try log.send(topic: table.topic, key: key, value: nil, timestampMilliseconds: time / 1_000)
    }
    status.changes += 1
    status.deletions += 1
  }

  func commit(_ progress: CaptureProgress) throws(CaptureFault) {
    try onLog { () throws(LogError) in try log.commit(progress, of: table.topic) }
    status.commits += 1
    observe()
  }

  private func onLog<Result>(_ body: () throws(LogError) -> Result) throws(CaptureFault) -> Result {
    do throws(LogError) { return try body() } catch { throw .log(error) }
  }
}

func onDatabase<Result>(_ body: () throws(CaptureError) -> Result) throws(CaptureFault) -> Result {
  do throws(CaptureError) { return try body() } catch { throw .database(error) }
}
