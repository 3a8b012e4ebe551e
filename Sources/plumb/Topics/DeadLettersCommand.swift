import ArgumentParser
import DefinitionFiles
import FeatureCore
import OutputRecords
import Processor
import SwiftProtobuf

struct DeadLettersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dead-letters", abstract: "Look at the dead-letter topic.", subcommands: [Tail.self])

  struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the records that couldn't be used and why, one JSON object a line.",
      discussion: """
        Examples:
          plumb dead-letters tail -d shop.yaml --from end --follow
          plumb dead-letters tail -d shop.yaml --reason wrong_type --limit 10
        """)

    @OptionGroup var options: TailOptions
    @Option(help: "Only records with this reason.")
    var reason: String?

    func validate() throws {
      guard let reason, !DeadLetter.reasons.contains(reason) else { return }
      let meant = Suggestion.didYouMean(reason, among: DeadLetter.reasons).map { " (\($0))" } ?? ""
      throw ValidationError(
        "There is no reason '\(reason)'\(meant). There are: \(DeadLetter.reasons.joined(separator: ", ")).")
    }

    func run() throws {
      try reportingService {
        let plan = try DefinitionFile.compile(path: options.definitions)
        _ = try options.chosenView(plan)
        try options.print(Routing(plan).deadLetterTopic, plan, row: describe)
      }
    }

    private func describe(_ record: LogRecord, _ line: inout JSONLine) -> Bool {
      let letter: Plumbline_DeadLetter
      do {
        letter = try Plumbline_DeadLetter(serializedBytes: record.value.map(Array.init) ?? [])
      } catch {
        line.add("problem", "\(record.value?.count ?? 0) bytes that are no dead letter: \(error)")
        return true
      }
      if let reason, letter.reason != reason { return false }
      if let view = options.view, letter.view != view { return false }
      line.add("reason", letter.reason)
      line.add("message", letter.message)
      line.add("view", letter.view.isEmpty ? .null : .string(Text(letter.view)))
      if letter.version != 0 { line.add("version", .int64(letter.version)) }
      line.add("position") {
        $0.add("topic", letter.topic)
        $0.add("partition", .int64(Int64(letter.partition)))
        $0.add("offset", .int64(letter.offset))
      }
      line.add("key", bytes: Array(letter.key))
      line.add("payload", bytes: Array(letter.payload))
      if !letter.headers.isEmpty {
        line.add("headers") { list in
          for (name, value) in letter.headers.sorted(by: { $0.key < $1.key }) {
            list.add(name, bytes: Array(value))
          }
        }
      }
      return true
    }
  }
}
