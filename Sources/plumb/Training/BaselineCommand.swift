import ArgumentParser
import DefinitionFiles
import FeatureCore
import OfflineStore

struct BaselineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "baseline",
    abstract: "Freeze what a training set holds, for measures of drift to compare with.",
    discussion: """
      Of each column of numbers: edges between its 20 quantiles, and the rows between them; of texts and bools: its 50 most \
      frequent values, and the rows of each; the nulls of each; and the measures of --score against --label. Features name the \
      file with 'baseline:'. Columns of other types are left out, and told.

      Examples:
        plumb baseline training.parquet --label label --score score -o models/ranker-7.json
        plumb baseline training.parquet | jq .columns
      """)

  @Argument(help: "The training set, a Parquet file.", completion: .file(extensions: ["parquet"]))
  var training: String
  @Option(help: "The column of what came of each row: true or false, 0 or 1, or a number.")
  var label: String?
  @Option(help: "The column of what the model said: a probability, or a number.")
  var score: String?
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("The file to write; - is the standard output.", valueName: "file"))
  var out = "-"

  func validate() throws {
    guard (label == nil) == (score == nil) else {
      throw ValidationError("--label and --score go together: add \(label == nil ? "--label" : "--score").")
    }
    if let label, label == score { throw ValidationError("--label and --score are both '\(label)'.") }
    if let clash = OutputClash.find(inputs: [training], outputs: [out]) { throw ValidationError(clash) }
  }

  func run() throws {
    try reporting {
      let predictions = label.flatMap { label in score.map { (label: label, score: $0) } }
      let survey = try TrainingSurvey(path: training, predictions: predictions)
      let columns = Dictionary(survey.columns.map { ($0.name, $0.baseline) }) { first, _ in first }
      let file = BaselineFile(rows: survey.rows, columns: columns, measures: survey.measures)
      try WholeFile.write(file.text, to: out)
      for (name, reason) in survey.leftOut {
        StandardError.print("plumb: column '\(name)' is left out: \(reason)")
      }
    }
  }
}
