import ArgumentParser
import FeatureCore
import OfflineStore
import Processor
import Replay

/// `plumb replay --features-at`: event files into the features of a view.
struct FeaturesOfFiles: ReplayJob {
  private let command: ReplayCommand
  private let out: String

  init(_ command: ReplayCommand) throws {
    out = try command.checkFiles()
    self.command = command
  }

  func run() throws {
    let format = try command.tableFormat(out)
    try command.overFiles { _, selection, letters in
      let (view, time) = try (selection.onlyView(), selection.source.time(command.featuresAt ?? "end"))
      let (counts, entities) = try FeaturesReplay(
        selection.source, view, at: time, progress: Progress.init
      ).run(command.events, out: out, format: format, letters: letters)
      let duplicates =
        selection.source.source.duplicates == nil ? "" : ", \(counted(counts.duplicates, "duplicate"))"
      return
        "\(counted(counts.records, "event")), \(counted(entities, "entity", "entities")), \(counts.late) late\(duplicates); "
        + letters.summary
    }
  }
}

/// `plumb replay --spine`: event files into training rows.
struct RowsOfSpine: ReplayJob {
  private let command: ReplayCommand
  private let out: String
  private let spine: String

  init(_ command: ReplayCommand) throws {
    out = try command.checkFiles()
    guard let spine = command.spine else { preconditionFailure("Cannot make rows without a spine") }
    self.spine = spine
    self.command = command
  }

  func run() throws {
    let format = try command.tableFormat(out)
    try command.overFiles { plan, selection, letters in
      let column = command.spineTime ?? selection.source.source.timestamp.field
      let replay = SpineReplay(
        plan, selection.views, time: SpineTime(column, like: selection.source), .ofCommand())
      let (events, rows) = try replay.run(
        command.events, spine: spine, out: out, format: format, letters: letters, progress: Progress.init,
        tell: StandardError.print)
      return "\(counted(events, "event")), \(counted(rows, "row")); \(letters.summary)"
    }
  }
}

extension ReplayCommand {
  /// Refuses flags that don't go with event files. Returns the file to write.
  fileprivate func checkFiles() throws -> String {
    try topics.refuse()
    if events.isEmpty { throw ValidationError("Give --events FILE..., or --into to fold the topics.") }
    guard let out else { throw ValidationError("Give --out FILE.") }
    if (featuresAt == nil) == (spine == nil) {
      throw ValidationError("Give either --features-at TIME or --spine FILE.")
    }
    if spineTime != nil, spine == nil { throw ValidationError("--spine-time goes with --spine.") }
    try refuseClash(inputs: events + [spine], outputs: [out, deadLetters])
    return out
  }
}

extension SourcePlan {
  /// A time as a command is told it; nil for `end`.
  func time(_ text: String) throws(ValidationError) -> EventTime? {
    if text == "end" { return nil }
    var text = text
    let unit = source.timestamp.unit
    let clock = schema.columns[schema.timeColumn].clock
    let parsed = text.withUTF8 { EventTime.parse(UnsafeRawBufferPointer($0), unit: unit, clock: clock) }
    guard let parsed else {
      throw ValidationError("'\(text)' is no time: write \(unit.textForms), or 'end'.")
    }
    return parsed
  }
}
