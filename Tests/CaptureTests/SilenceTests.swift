import Capture
import FeatureCore
import Testing

/// A database in which nothing happens, and which stands still after some answers. Time passes only while it is waited for.
private final class IdleDatabase: ReplicatedDatabase {
  /// Microseconds since 1970.
  private(set) var now: Int64 = 1_800_000_000_000_000
  private var answersLeft: Int
  private var owes = false
  private var message = [UInt8(ascii: "k")] + [UInt8](repeating: 0, count: 17)
  /// When it said something last.
  private(set) var latestAnswer: Int64 = 0

  init(answers: Int) { answersLeft = answers }

  func connect() -> ChangeAvailability { .all }
  func copy(
    _ begin: (_ time: Int64) throws(CaptureFault) -> Void,
    _ line: (UnsafeRawBufferPointer) throws(CaptureFault) -> Void
  ) throws(CaptureFault) -> LogSequenceNumber {
    try begin(now)
    return LogSequenceNumber(1)
  }
  func start(at place: LogSequenceNumber) {}
  func answer(_ bytes: [UInt8]) { owes = bytes.last == 1 }

  func receive(timeoutMilliseconds: Int) -> UnsafeRawBufferPointer? {
    guard owes, answersLeft > 0 else {
      now += Int64(timeoutMilliseconds) * 1_000
      return nil
    }
    (owes, answersLeft, latestAnswer) = (false, answersLeft - 1, now)
    lent?.deallocate()
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
    copy.copyBytes(from: message)
    lent = copy
    return UnsafeRawBufferPointer(copy)
  }

  private var lent: UnsafeMutableRawBufferPointer?
  deinit { lent?.deallocate() }

  let end = LogSequenceNumber(0)
  let rowsEstimate: Int? = nil
  let tableName = "public.users"
}

@Suite struct SilenceTests {
  /// A server that doesn't close its connection, and says nothing any more, is not taken for one in which nothing happens.
  @Test func aDatabaseThatStandsStillIsNoticed() throws {
    let database = IdleDatabase(answers: 100)
    let table = try CapturedTable.users([Source.Field("id", .string)])
    var latest = CaptureStatus()
    var lags: [Int64] = []
    let capture = ReplicationCapture(
      table, database, MemoryLog(), limits: CaptureLimits(), status: CaptureStatus(), now: { database.now },
      isStopping: { false },
      observe: { status in
        latest = status
        if let until = status.completeUntil, database.latestAnswer == database.now {
          lags.append(database.now - until)
        }
      })
    let fault = #expect(throws: CaptureFault.self) { try capture.run(once: false) { _ in } }
    guard case .database(let error) = try #require(fault) else { throw try #require(fault) }
    #expect(error.remedy == .retry)
    #expect(error.description == "the database of public.users has not answered for 60 s")
    #expect(try #require(latest.completeUntil) <= database.latestAnswer)
    #expect(database.now - database.latestAnswer < 63_000_000)
    // It lasted: a question a second, and what was complete followed the clock.
    #expect(database.now > 1_800_000_000_000_000 + 150_000_000)
    #expect(lags.allSatisfy { $0 < 2_000_000 })
  }
}
