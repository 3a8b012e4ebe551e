import ArgumentParser

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
      try FeaturesReplay(selection, at: command.featuresAt ?? "end")
        .run(command.events, out: out, format: format, letters: letters)
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
      try SpineReplay(plan, selection, path: spine, timeColumn: command.spineTime)
        .run(command.events, out: out, format: format, letters: letters)
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
