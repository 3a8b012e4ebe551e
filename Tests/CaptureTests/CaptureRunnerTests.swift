import Capture
import Processor
import Testing

/// What passes by itself is tried again; what doesn't is an error.
@Suite struct CaptureRunnerTests {
  /// A log that nothing is asked of.
  private final class NoLog: CaptureLog {
    func progress(of topic: String) throws(CaptureFault) -> CaptureProgress? { nil }
    func forEachRecord(
      of topic: String,
      _ body: (_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ sequence: Int64)
        throws(CaptureFault) -> Void
    ) throws(CaptureFault) {}
    func begin() throws(LogError) {}
    func send(
      topic: String, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?,
      timestampMilliseconds: Int64?
    ) throws(LogError) {}
    func commit(_ progress: CaptureProgress, of topic: String) throws(LogError) {}
  }

  /// A clock that only pauses move, and what is told.
  private final class Course {
    var now: Int64 = 0
    var pauses: [Int64] = []
    var told: [String] = []
    var compared: [String?] = []
  }

  private let course = Course()

  /// Tries with what each try ends by; nil: it ends well. A try that has come so far is following by then.
  private func run(
    mayDeleteAll: Bool = true, following: Set<Int> = [], stopsAt: Int = .max, _ ends: [CaptureFault?]
  ) throws(ProcessorError) -> CaptureStatus {
    let course = course
    let runner = CaptureRunner<NoLog>(
      mayDeleteAll: mayDeleteAll, now: { course.now },
      pause: {
        course.now += $0
        course.pauses.append($0)
      }, isStopping: { course.compared.count >= stopsAt }
    ) { news in
      switch news {
      case .progress: break
      case .waiting(let problem, let isNew): if isNew { course.told.append(problem) }
      case .recovered(let milliseconds): course.told.append("recovered after \(milliseconds)")
      }
    }
    return try runner.run(makeLog: { () throws(LogError) in NoLog() }) { (attempt) throws(CaptureFault) in
      let index = course.compared.count
      course.compared.append(attempt.mustCompare)
      var status = attempt.status
      status.rowsRead += 1
      status.phase = following.contains(index) ? .following : .connecting
      attempt.observe(status)
      if let end = ends[index] { throw end }
    }
  }

  private static func away(_ text: String) -> CaptureFault { .database(CaptureError(.retry, text)) }

  @Test func pausesGrowAndAProblemIsToldOnce() throws {
    let ends = (0..<9).map { Self.away($0 < 5 ? "refused" : "starting up") } + [nil]
    let status = try run(following: [9], ends)
    #expect(course.pauses == [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000])
    #expect(course.told == ["refused", "starting up", "recovered after \(course.pauses.reduce(0, +))"])
    #expect(status.rowsRead == 10, "each try goes on with what was counted")
  }

  @Test func whoHasRecoveredPausesForShortAgain() throws {
    _ = try run(following: [2], [Self.away("a"), Self.away("a"), Self.away("a"), nil])
    #expect(course.pauses == [200, 400, 200])
    #expect(course.told == ["a", "recovered after 600", "a"])
  }

  @Test func changesThatAreLostAreComparedIfRowsMayBeDeleted() throws {
    let lost = CaptureFault.database(CaptureError(.compare, "the table was emptied"))
    _ = try run([lost, Self.away("away"), nil])
    #expect(course.compared == [nil, "the table was emptied", nil])
    let error = #expect(throws: ProcessorError.self) {
      try CaptureRunnerTests().run(mayDeleteAll: false, [lost])
    }
    #expect(
      error?.description == "the table was emptied: set \"on_truncate: delete\", or capture into a new topic")
  }

  @Test func whatOnlyAPersonCanHelpWithIsAnError() {
    #expect(throws: ProcessorError.self) { try run([.database(CaptureError(.stop, "no such table"))]) }
    let other = CaptureRunnerTests()
    #expect(throws: ProcessorError.self) { try other.run([.log(LogError(.fatal, "no such user"))]) }
  }

  @Test func whoIsToStopStops() throws {
    #expect(try run([.stopping]).rowsRead == 1)
    let other = CaptureRunnerTests()
    #expect(try other.run(stopsAt: 2, [Self.away("a"), Self.away("a"), nil]).rowsRead == 2)
    #expect(other.course.compared.count == 2)
  }
}
