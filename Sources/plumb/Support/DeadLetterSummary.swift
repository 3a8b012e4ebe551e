import Replay

extension DeadLetterFile {
  /// The counts, as a sentence.
  var summary: String {
    if counts.isEmpty { return "no dead letters" }
    let reasons = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
    let place =
      path.map { "in \($0)" } ?? (lost > 0 ? "not kept: name a file with --dead-letters" : "of topics")
    return
      "\(counted(counts.values.reduce(0, +), "dead letter")) (\(reasons.joined(separator: ", "))) \(place)"
  }
}
