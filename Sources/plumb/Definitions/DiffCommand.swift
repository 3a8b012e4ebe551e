import ArgumentParser
import DefinitionFiles
import FeatureCore
import Foundation
import OnlineStore
import ServiceConfiguration

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the features of two versions in Redis, entity by entity, at one time.",
    discussion: """
      Both versions may be running; where one is ahead of the other, the events between them are differences too. Features \
      are compared by name.

      Examples:
        plumb diff -d shop-v3.yaml -d shop-v4.yaml
        plumb diff -d shop-v3.yaml -d shop-v4.yaml --view user_activity --sample 1/100
      """)

  @Option(name: [.customShort("d"), .long], help: "A definitions file; give two, the old version first.")
  var definitions: [String]
  @OptionGroup var store: StoreOptions
  @Option(help: "The two versions, as a check that the files are those: 3,4.")
  var versions: String?
  @Option(help: "Only this view.")
  var view: String?
  @Option(help: "Only so many of the entities, as 1/N: always the same ones.")
  var sample = SampleShare(divisor: 1)
  @Option(help: "The time of the evaluation, in RFC 3339; without it, now.")
  var at: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if definitions.count != 2 {
      throw ValidationError("Give two definitions files: -d old.yaml -d new.yaml.")
    }
  }

  func run() throws {
    try reportingService {
      let plans = try definitions.map { try DefinitionFile.compile(path: $0) }
      let found = plans.map { "\($0.version)" }.joined(separator: ",")
      if let versions, versions != found {
        throw ValidationError("The definitions files are of the versions \(found), not \(versions).")
      }
      guard plans[0].name == plans[1].name, plans[0].version != plans[1].version else {
        throw ValidationError("The definitions files must be two versions of one name.")
      }
      let time = try at.map(EventTime.init(option:)) ?? .now
      let difference = VersionDifference(
        plans[0], plans[1], view: view, try store.settings().redisOptions(), at: time,
        sample: UInt64(sample.divisor))
      if difference.views.isEmpty { throw ValidationError("There is no view that both versions have.") }
      try difference.run()
      if json { difference.printJSON() } else { for line in difference.report() { print(line) } }
    }
  }
}

extension VersionDifference {
  fileprivate func printJSON() {
    JSONLine.print { line in
      line.add("versions", .list([old.version, new.version].map { .int64(Int64($0)) }))
      line.add("notes", texts: notes)
      line.add("views", each: views.sorted { $0.key < $1.key }) { line, view in
        line.add("name", view.key)
        line.add("both", view.value.both)
        line.add("only_old", view.value.onlyOld)
        line.add("only_new", view.value.onlyNew)
        line.add("features", each: view.value.columns.sorted { $0.key < $1.key }) { line, feature in
          line.add("name", feature.key)
          line.add("same", feature.value.same)
          line.add("differ", feature.value.different)
          line.add("null_only_in_new", feature.value.onlyOld)
          line.add("null_only_in_old", feature.value.onlyNew)
          line.add("largest_difference", .double(feature.value.largest))
        }
      }
    }
  }

  /// A table for each view.
  fileprivate func report() -> [String] {
    let (a, b) = ("\(old.version)", "\(new.version)")
    var lines = notes
    for (name, coverage) in views.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "view \(name): \(counted(coverage.both, "entity", "entities")) in both versions, \(coverage.onlyOld) only in \(a), "
          + "\(coverage.onlyNew) only in \(b)")
      var rows = [
        ["feature", "same", "differ", "null only in \(b)", "null only in \(a)", "largest difference"]
      ]
      for (feature, column) in coverage.columns.sorted(by: { $0.key < $1.key }) {
        rows.append([
          feature, "\(column.same)", "\(column.different)", "\(column.onlyOld)", "\(column.onlyNew)",
          column.largest > 0 ? "\(column.largest)" : "",
        ])
      }
      lines += textTable(rows).map { "  \($0)" }
    }
    return lines
  }
}

extension EventTime {
  /// Now, by the wall clock.
  static var now: EventTime { EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }

  /// A time as a command is told it.
  init(option text: String) throws(ValidationError) {
    var copy = text
    guard let time = copy.withUTF8({ RFC3339.parse(UnsafeRawBufferPointer($0)) }) else {
      throw ValidationError("'\(text)' is no time: write RFC 3339, such as 2026-01-02T03:04:05Z.")
    }
    self = time
  }
}
