import Capture
import Foundation
import Logging

/// Tells how far the copy of a whole table is: a bar on a terminal, else a line every ten seconds. One thread.
struct CopyProgress {
  private let logger: Logger
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var start: ContinuousClock.Instant?
  private var lastShown = ContinuousClock.now
  /// Rows and records of copies that went before.
  private var before = (rows: 0, records: 0)

  init(_ logger: Logger) { self.logger = logger }

  mutating func update(_ status: CaptureStatus) {
    guard status.phase.isReading else {
      if start != nil, isTerminal { StandardError.write("\r\u{1B}[K") }
      start = nil
      return
    }
    let now = ContinuousClock.now
    guard let start else {
      (start, lastShown) = (now, now)
      before = (status.rowsRead, status.changes)
      return
    }
    guard now - lastShown >= (isTerminal ? .milliseconds(100) : .seconds(10)) else { return }
    lastShown = now
    let text = Self.text(
      rows: status.rowsRead - before.rows, of: status.rowsExpected, records: status.changes - before.records,
      seconds: (now - start) / .seconds(1))
    if isTerminal { StandardError.write("\r\u{1B}[K\(text)") } else { logger.info("\(text)") }
  }

  private static func text(rows: Int, of expected: Int?, records: Int, seconds: Double) -> String {
    let rate = Double(rows) / max(seconds, 0.001)
    let read = "\(rows) rows read, \(Int(rate)) a second"
    // The rows are read before the first difference is written.
    if records > 0 { return "\(rows) rows read, \(records) records written" }
    guard let expected, expected > 0, rows > 0, rows <= expected else { return read }
    let share = Double(rows) / Double(expected)
    let filled = Int(share * 30)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    return
      "[\(bar)] \(Int(share * 100)) % of about \(expected) rows, \(read), \(Int(Double(expected - rows) / rate)) s left"
  }
}
