import ArgumentParser
import FeatureCore
import Foundation
import OfflineStore

/// Where the rows of a training set come from.
struct RowFlags: ParsableArguments {
  @Option(help: "The rows to join: .parquet, .csv or .ndjson, the latter also .gz or .zst.")
  var spine: String?
  @Option(
    help: ArgumentHelp(
      "Make a row of each event of the source for which this is true, with the source's fields.",
      valueName: "expression"))
  var spineEvents: String?
  @Option(
    name: .customLong("from"),
    help:
      "Make a row of each answer of a service that plumb serve has logged: 'served'. Nothing is joined but a label."
  )
  var origin: RowOrigin?
  @Option(help: "The spine's column of times. Without it, the one named like the source's time field.")
  var spineTime: String?

  func validate() throws {
    guard [spine != nil, spineEvents != nil, origin != nil].count(where: \.self) == 1 else {
      throw ValidationError("Give either --spine FILE, --spine-events EXPRESSION or --from served.")
    }
    if spine == nil && spineTime != nil {
      throw ValidationError("--spine-time goes with --spine: events and answers have their own time.")
    }
  }
}

/// Where rows may come from, other than a file or events.
enum RowOrigin: String, ExpressibleByArgument, CaseIterable { case served }

/// How rows are labelled by the events that follow them.
struct TrainingLabel: ParsableArguments {
  @Option(help: "Label rows by whether such an event follows: an expression over the source's fields.")
  var label: String?
  @Option(help: "How soon the labelling event must follow, such as 30m.")
  var within: DurationOption?
  @Option(help: "The columns that the row and the labelling event have in common, separated by commas.")
  var on: String?
  @Option(help: "The source of the labelling events. Without it, the one that the rows are about.")
  var labelSource: String?

  func validate() throws {
    guard [label != nil, within != nil, on != nil].allSatisfy({ $0 == (label != nil) }) else {
      throw ValidationError("--label, --within and --on go together.")
    }
    if labelSource != nil && label == nil { throw ValidationError("--label-source goes with --label.") }
    if let within, within.microseconds <= 0 { throw ValidationError("--within is 0: use 1s or more.") }
  }

  /// The label of a join; nil if none is wanted.
  func rule(_ selection: TrainingSelection) throws(ValidationError) -> JoinedLabel? {
    try rule(selection.plan) { () throws(ValidationError) in try selection.theSource(for: "--label") }
  }

  /// The label of a join, whose events are of one source if none is named.
  func rule(
    _ plan: Plan, otherwise source: () throws(ValidationError) -> Int
  ) throws(ValidationError) -> JoinedLabel? {
    guard let label, let within, let on else { return nil }
    let index: Int
    if let labelSource {
      index = try TrainingSelection.index(labelSource, plan)
    } else {
      index = try source()
    }
    let columns = on.split(separator: ",").map { $0.drop { $0 == " " } }.map(String.init)
    let view = try plan.sources[index].events(
      where: label, key: columns, name: "label", options: "--label or --on")
    return JoinedLabel(view, source: plan.sources[index], index: index, within: within.microseconds)
  }
}

/// A count of bytes as an argument: `67108864`, `64M`, `2G`.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible {
  let bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    let units: [Character: Int] = ["K": 10, "M": 20, "G": 30]
    let shift = argument.last.flatMap { units[$0] }
    guard let count = Int(shift == nil ? argument[...] : argument.dropLast()), count > 0,
      count <= Int.max >> (shift ?? 0)
    else { return nil }
    bytes = count << (shift ?? 0)
  }

  var description: String {
    bytes % (1 << 20) == 0 ? "\(bytes >> 20)M" : "\(bytes)"
  }
}

extension JoinResources {
  /// What commands use: the machine has other work.
  static func ofCommand(memory: Int? = nil) -> JoinResources {
    var resources = JoinResources()
    if let memory { resources.memoryBytes = memory }
    resources.workers = ProcessInfo.processInfo.activeProcessorCount >= 2 ? 2 : 1
    return resources
  }
}
