import Glibc
import Replay

/// A line on the standard error with the rate and the time left; nothing if that is no terminal.
struct Progress: FileProgress {
  private let filesCount: Int
  private let start = ContinuousClock.now
  private var lastShown: ContinuousClock.Instant
  private var records = 0
  private let isShown = isatty(STDERR_FILENO) == 1

  init(filesCount: Int) {
    self.filesCount = filesCount
    lastShown = start
  }

  mutating func update(file: Int, records: Int, bytesRead: Int64, totalBytes: Int64?) {
    self.records += records
    let now = ContinuousClock.now
    guard isShown, now - lastShown > .milliseconds(100) else { return }
    lastShown = now
    let elapsed = (now - start) / .seconds(1)
    let rate = "\(self.records) events, \(Int(Double(self.records) / elapsed)) a second"
    guard let totalBytes, totalBytes > 0 else { return show(rate) }
    // Files count alike: their sizes are only known once they are open.
    let share = (Double(file) + min(1, Double(bytesRead) / Double(totalBytes))) / Double(filesCount)
    let left = share > 0 ? Int(elapsed / share - elapsed) : 0
    let filled = Int(share * 30)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    show("[\(bar)] \(Int(share * 100)) %, \(rate), \(left) s left")
  }

  func finish() {
    if isShown { StandardError.write("\r\u{1B}[K") }
  }

  private func show(_ text: String) { StandardError.write("\r\u{1B}[K\(text)") }
}
