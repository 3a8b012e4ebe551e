import EventFiles
import FeatureCore
import Foundation

/// Files that the offline side is measured with: events, and the rows to be joined with them.
struct OfflineInput {
  static let rows = 50_000
  /// Beside the peers, whose features they have.
  static let definitions = "Benchmarks/Peers/training.yaml"

  let events: String
  let spine: String

  /// Generates events of `users` at one density, so that more events take more time; and a spine of events drawn evenly
  /// from them, in no order of time: the rows of a training set are what happened.
  init(_ options: Options, folder: URL, events count: Int, users: Int) throws {
    events = folder.appendingPathComponent("events-\(count)-\(users).ndjson").path
    spine = folder.appendingPathComponent("spine-\(count)-\(users).csv").path
    _ = try Command.run(
      options.plumb,
      [
        "generate", "--events", "\(count)", "--users", "\(users)", "--malformed", "0", "--density", "0.4",
        "--out", events,
      ])
    try writeSpine(step: max(1, count / Self.rows))
  }

  /// Removes the files.
  func remove() {
    for path in [events, spine] { try? FileManager.default.removeItem(atPath: path) }
  }

  private func writeSpine(step: Int) throws {
    let batch = EventBatch(EventSchema(Shop.source), capacity: 1)
    var rows: [String] = []
    var reader = try LineReader(path: events)
    while let lines = try reader.next() {
      for line in lines where Int(line.number) % step == step / 2 {
        try batch.append(line.bytes, sequence: line.number)
        let user = String(decoding: batch.row(0)[0].text, as: UTF8.self)
        rows.append("\(user),\(batch.time(0) / 1000),\(line.number % 2)\n")
        batch.removeAll()
      }
    }
    // A prime that doesn't divide the count visits every row once.
    let prime = 7919
    precondition(!rows.count.isMultiple(of: prime), "Cannot shuffle \(rows.count) rows")
    let shuffled = rows.indices.map { rows[$0 * prime % rows.count] }
    try ("user_id,ts,label\n" + shuffled.joined()).write(toFile: spine, atomically: false, encoding: .utf8)
  }
}
