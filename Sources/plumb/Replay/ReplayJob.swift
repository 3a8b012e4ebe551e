import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore
import Replay

/// One of the programs that `plumb replay` is: made of its flags, it refuses those that don't go together.
protocol ReplayJob {
  init(_ command: ReplayCommand) throws
  func run() throws
}

extension ReplayCommand {
  /// The program that the flags ask for.
  var program: any ReplayJob.Type {
    if join != nil { return RecordsOfJoin.self }
    if triggers { return events.isEmpty ? TriggersOfTopics.self : TriggersOfFiles.self }
    switch topics.into {
    case .redis: return StatesIntoStore.self
    case .features, .snapshots: return TableOfTopics.self
    case nil: return spine == nil ? FeaturesOfFiles.self : RowsOfSpine.self
    }
  }

  /// The form of a table that is written to a file.
  func tableFormat(_ out: String) throws -> FeatureTableFormat {
    try format ?? FeatureTableFormat(path: out)
  }

  /// Runs a body over event files; tells what it did.
  func overFiles(_ body: (Plan, Selection, DeadLetterFile) throws -> String) throws {
    try overFiles { plan, letters in try body(plan, Selection(plan, source: source, views: view), letters) }
  }

  /// The same of event files that no view is chosen for.
  func overFiles(_ body: (Plan, DeadLetterFile) throws -> String) throws {
    try reporting {
      let plan = try DefinitionFile.compile(path: definitions)
      let letters = try DeadLetterFile(path: deadLetters)
      StandardError.print(try body(plan, letters))
      if letters.areLost { throw Outcome.lostRecords }
    }
  }

  /// Refuses outputs that would overwrite an input or each other.
  func refuseClash(inputs: [String?] = [], outputs: [String?]) throws(ValidationError) {
    let clash = OutputClash.find(
      inputs: [definitions] + inputs.compactMap(\.self), outputs: outputs.compactMap(\.self))
    if let clash { throw ValidationError(clash) }
  }
}
