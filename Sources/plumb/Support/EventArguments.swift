import ArgumentParser
import FeatureCore
import Replay

/// Event files by source: `a.ndjson b.ndjson` of the only source, or `clicks=a.ndjson orders=b.ndjson` of several.
struct EventArguments {
  private(set) var files: [SourceFiles] = []
  /// The sources that were named.
  let named: [Int]

  /// `source` is that of files without a source's name.
  init(_ arguments: [String], _ plan: Plan, source: String?) throws {
    var files: [SourceFiles] = []
    var named: [Int] = []
    for argument in arguments {
      if let (source, path) = Self.split(argument, plan) {
        if !named.contains(source) { named.append(source) }
        Self.add(path, source, to: &files)
        continue
      }
      let index: Int
      if let source {
        index = try TrainingSelection.index(source, plan)
      } else if plan.sources.count == 1 {
        index = 0
      } else {
        let names = plan.sources.map(\.source.name).joined(separator: ", ")
        throw ValidationError(
          "There are several sources: write --events SOURCE=\(argument), or choose one with --source: \(names)."
        )
      }
      Self.add(argument, index, to: &files)
    }
    self.files = files
    self.named = named
    for file in files { try plan.sources[file.source].requireLines() }
  }

  var isEmpty: Bool { files.isEmpty }

  /// The paths alone, as far as they can be told without definitions.
  static func paths(_ arguments: [String]) -> [String] {
    arguments.flatMap { argument in
      [argument]
        + (argument.firstIndex(of: "=").map { [String(argument[argument.index(after: $0)...])] } ?? [])
    }
  }

  /// What stands before the first `=` names a source, or else it is a part of the path.
  private static func split(_ argument: String, _ plan: Plan) -> (source: Int, path: String)? {
    guard let equals = argument.firstIndex(of: "="),
      let source = plan.sources.firstIndex(where: { $0.source.name == argument[..<equals] })
    else { return nil }
    return (source, String(argument[argument.index(after: equals)...]))
  }

  private static func add(_ path: String, _ source: Int, to files: inout [SourceFiles]) {
    guard let known = files.firstIndex(where: { $0.source == source }) else {
      return files.append(SourceFiles(source: source, paths: [path]))
    }
    files[known].paths.append(path)
  }
}
