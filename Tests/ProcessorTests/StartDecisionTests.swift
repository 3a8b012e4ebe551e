import Testing

@testable import Processor

/// Where a task begins, for everything that the log and the store may say of it.
@Suite struct StartDecisionTests {
  struct Row: Sendable {
    var stored: Int64?
    var committed: Int64?
    var low: Int64
    var high: Int64
    var expected: StartDecision? = nil
  }

  /// nil: the decision is to stop.
  static let rows = [
    Row(stored: nil, committed: nil, low: 0, high: 10, expected: .new(offset: 0)),
    Row(stored: nil, committed: nil, low: 7, high: 10, expected: .new(offset: 7)),
    // Crashed before the first commit.
    Row(stored: 7, committed: nil, low: 7, high: 10, expected: .fold(from: 7, published: 7)),
    Row(stored: 8, committed: nil, low: 7, high: 10, expected: nil),
    // Nothing to catch up, then a crash between the commits, then a store that lost everything.
    Row(stored: 9, committed: 9, low: 0, high: 10, expected: .fold(from: 9, published: 9)),
    Row(stored: 5, committed: 9, low: 0, high: 10, expected: .fold(from: 5, published: 9)),
    Row(stored: nil, committed: 9, low: 0, high: 10, expected: .fold(from: 0, published: 9)),
    // The log has lost what would have to be folded.
    Row(stored: nil, committed: 9, low: 1, high: 10, expected: nil),
    Row(stored: 5, committed: 9, low: 6, high: 10, expected: nil),
    Row(stored: 5, committed: 5, low: 6, high: 10, expected: nil),
    // A restoration that was not completed.
    Row(stored: -5, committed: 9, low: 0, high: 10, expected: nil),
    Row(stored: -5, committed: nil, low: 0, high: 10, expected: nil),
    // Offsets were set back; the topic was created anew.
    Row(stored: 9, committed: 5, low: 0, high: 10, expected: nil),
    Row(stored: 9, committed: 11, low: 0, high: 10, expected: nil),
  ]

  /// Each cause is told apart, with the one command that helps.
  @Test(arguments: [
    (Row(stored: 8, committed: nil, low: 0, high: 10), "has expired", "plumb offsets -d FILE --set-to-store"),
    (Row(stored: 9, committed: 5, low: 0, high: 10), "were set back", "plumb offsets -d FILE --set-to-store"),
    // Its group's offsets go with a topic; those of the old log would skip records of the new one.
    (Row(stored: 80, committed: nil, low: 0, high: 10), "created anew", "plumb run --until end"),
    (Row(stored: 80, committed: 5, low: 0, high: 10), "created anew", "plumb run --until end"),
    (Row(stored: 9, committed: 11, low: 0, high: 10), "created anew", "plumb run --until end"),
  ])
  func aStopNamesItsCauseAndACommand(_ row: Row, cause: String, command: String) {
    let decision = StartDecision.make(
      "clicks.0", stored: row.stored, committed: row.committed, low: row.low, high: row.high)
    guard case .stop(let message) = decision else {
      Issue.record("\(decision)")
      return
    }
    #expect(message.contains(cause) && message.contains(command), "\(message)")
  }

  @Test(arguments: [
    (Row(stored: nil, committed: 9, low: 0, high: 10), OffsetRepair.keep),
    (Row(stored: 9, committed: 9, low: 0, high: 10), .keep),
    (Row(stored: 5, committed: 9, low: 0, high: 10), .keep),
    (Row(stored: 8, committed: nil, low: 0, high: 10), .set(8)),
    (Row(stored: 9, committed: 5, low: 0, high: 10), .set(9)),
    (Row(stored: 7, committed: nil, low: 7, high: 10), .set(7)),
  ])
  func offsetsFollowTheStore(_ row: Row, repair: OffsetRepair) {
    #expect(
      OffsetRepair.make(stored: row.stored, committed: row.committed, low: row.low, high: row.high) == repair)
  }

  @Test(arguments: [
    Row(stored: -5, committed: 9, low: 0, high: 10), Row(stored: 80, committed: nil, low: 0, high: 10),
    Row(stored: 9, committed: 11, low: 0, high: 10), Row(stored: 5, committed: nil, low: 6, high: 10),
  ])
  func offsetsThatNoStoreJustifiesAreRefused(_ row: Row) {
    let repair = OffsetRepair.make(
      stored: row.stored, committed: row.committed, low: row.low, high: row.high)
    guard case .refuse = repair else {
      Issue.record("\(repair)")
      return
    }
  }

  @Test(arguments: rows) func beginsWhereNothingIsLost(_ row: Row) {
    let decision = StartDecision.make(
      "clicks.0", stored: row.stored, committed: row.committed, low: row.low, high: row.high)
    if let expected = row.expected {
      #expect(decision == expected)
    } else if case .stop(let message) = decision {
      #expect(message.hasPrefix("task clicks.0: "))
    } else {
      Issue.record("\(decision) instead of stopping")
    }
  }
}
