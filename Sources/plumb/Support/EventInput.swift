import EventFiles
import FeatureCore
import Glibc
import OfflineStore
import Replay

/// Reads files, and archives, one after the other, in blocks of events, with a progress bar on a terminal.
func readEvents(
  _ paths: [String], _ schema: EventSchema, _ body: (String, LineBlock) throws -> Void
) throws {
  let files = try paths.flatMap(EventFile.all)
  var progress = Progress(filesCount: files.count)
  for (index, file) in files.enumerated() {
    var reader = try EventFileReader(file, schema)
    var count = 0
    while try reader.next({ lines in
      count = lines.count
      try body(file.path, lines)
    }) {
      progress.update(
        file: index, records: count, bytesRead: reader.bytesRead, totalBytes: reader.totalBytes)
    }
  }
  progress.finish()
}

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
