import FeatureCore
import Foundation
import Yams

/// The baseline files that a definitions file names, each read once.
struct BaselineFiles {
  /// Paths are relative to the folder of the definitions file.
  private let folder: URL
  private var read: [String: Result<BaselineFile, BaselineFileError>] = [:]

  init(besides definitions: String) {
    folder =
      definitions == "-"
      ? URL(filePath: FileManager.default.currentDirectoryPath, directoryHint: .isDirectory)
      : URL(filePath: definitions).deletingLastPathComponent()
  }

  mutating func file(_ path: String) throws(BaselineFileError) -> BaselineFile {
    if let known = read[path] { return try known.get() }
    let full = URL(filePath: path, relativeTo: folder).path
    let result = Result { () throws(BaselineFileError) in try BaselineFile.read(path: full) }
    read[path] = result
    return try result.get()
  }
}

// Baselines of `DefinitionsReader`.
extension DefinitionsReader {
  /// The baseline of a feature of a value: a file's name, a file and one of its columns, or bins and counts in place.
  mutating func baseline(_ place: Place, value: String?) -> Baseline? {
    guard case .mapping = place.node else {
      return reader.text(place, expected: "the name of a file, or a mapping")
        .flatMap { baseline($0, column: value, at: place) }
    }
    let keys = ["file", "column", "edges", "categories", "counts", "nulls"]
    guard let fields = reader.fields(place, "a baseline", keys: keys) else { return nil }
    if let file = fields["file"] {
      for key in ["edges", "categories", "counts", "nulls"] {
        guard let stranger = fields[key] else { continue }
        reader.report(stranger, "'\(key)' does not go with 'file'", suggestion: "keep one of them")
      }
      let column = fields["column"].map { reader.text($0, expected: "a column of the file") } ?? value
      return reader.text(file, expected: "the name of a file")
        .flatMap {
          baseline(
            $0, column: column, at: Place(node: file.node, path: place.path, keyPosition: file.keyPosition))
        }
    }
    if let column = fields["column"] {
      reader.report(column, "'column' goes with 'file'", suggestion: "add the file, or remove it")
    }
    return baselineInPlace(fields)
  }

  private func baselineInPlace(_ fields: Fields) -> Baseline? {
    let counts = reader.required("counts", of: fields, example: "counts: [120, 80, 40]").map(reader.elements)
    let rows = (counts ?? []).compactMap(reader.integer).map(Int64.init)
    let nulls = Int64(fields["nulls"].flatMap(reader.integer) ?? 0)
    switch (fields["edges"], fields["categories"]) {
    case (let edges?, nil):
      let read = reader.elements(edges).compactMap(reader.number)
      return Baseline(.edges(read), counts: rows, nulls: nulls)
    case (nil, let categories?):
      let read = reader.elements(categories).compactMap { reader.text($0, expected: "a text") }
      return Baseline(.categories(read), counts: rows, nulls: nulls)
    case (nil, nil):
      reader.report(
        fields.place, "a baseline needs 'edges', 'categories' or 'file'",
        suggestion: "for example { edges: [1, 10], counts: [120, 80, 40] }")
    case (.some, .some):
      reader.report(fields.place, "'categories' does not go with 'edges'", suggestion: "keep one of them")
    }
    return nil
  }

  private mutating func baseline(_ path: String, column: String?, at place: Place) -> Baseline? {
    guard let column else { return nil }
    let file: BaselineFile
    do throws(BaselineFileError) {
      file = try baselineFiles.file(path)
    } catch {
      reader.report(place, "the baseline '\(path)': \(error.problem)", suggestion: error.remedy)
      return nil
    }
    if let baseline = file.columns[column] { return baseline }
    reader.report(
      place, "the baseline '\(path)' has no column '\(column)'",
      suggestion: Suggestion.didYouMean(column, among: file.columns.keys.sorted())
        ?? "name one with { file: \(path), column: ... }")
    return nil
  }
}
