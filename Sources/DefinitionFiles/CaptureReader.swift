import FeatureCore

// MARK: - Captured tables

extension DefinitionsReader {
  /// `capture:` of a source.
  func capture(_ place: Place, source: String) -> TableCapture? {
    let keys = ["postgres", "sqlite", "file", "table", "mode", "every", "on_truncate"]
    guard let fields = reader.fields(place, "a capture", keys: keys) else { return nil }
    let table =
      fields["table"].flatMap { reader.text($0, expected: "the name of a table") } ?? source
    let every = fields["every"].flatMap(reader.duration) ?? TableCapture.defaultEvery
    let onTruncate: TableCapture.OnTruncate =
      fields["on_truncate"].flatMap { reader.choice($0, "reaction") } ?? .stop
    let mode: TableCapture.Mode? = fields["mode"].flatMap { reader.choice($0, "mode") }
    if every < 1_000_000, let place = fields["every"] {
      reader.report(place, "the table would be compared without a pause", suggestion: "use 1s or more")
    }
    let origins = ["postgres", "sqlite", "file"].filter { fields[$0] != nil }
    guard origins.count == 1, let place = fields[origins[0]] else {
      reader.report(
        place, "a capture is from one place",
        suggestion: "name it: postgres: \"${DATABASE_URL}\", or sqlite: shop.db, or file: users.csv")
      return nil
    }
    func capture(_ origin: TableCapture.Origin, _ mode: TableCapture.Mode) -> TableCapture {
      TableCapture(origin, table: table, mode: mode, every: every, onTruncate: onTruncate)
    }
    if origins[0] == "postgres" {
      return reader.text(place, expected: "the database's address").map {
        capture(.postgres(address: $0), mode ?? .replicate)
      }
    }
    let isFile = origins[0] == "file"
    if mode == .replicate, let place = fields["mode"] {
      reader.report(
        place, "\(isFile ? "a file" : "SQLite") keeps no log of changes", suggestion: "use mode: diff")
    }
    if isFile, let place = fields["table"] {
      reader.report(place, "a file is one table", suggestion: "remove 'table'")
    }
    return reader.text(place, expected: isFile ? "the path of a file" : "the path of a database file").map {
      capture(isFile ? .file(path: $0) : .sqlite(path: $0), .diff)
    }
  }
}
