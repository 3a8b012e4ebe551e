import FeatureCore

// MARK: - Captured tables

extension DefinitionsReader {
  /// `capture:` of a source.
  func capture(_ place: Place, source: String) -> TableCapture? {
    let keys = ["postgres", "sqlite", "table", "mode", "every", "on_truncate"]
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
    switch (fields["postgres"], fields["sqlite"]) {
    case (let postgres?, nil):
      guard let address = reader.text(postgres, expected: "the database's address") else { return nil }
      return TableCapture(
        .postgres(address: address), table: table, mode: mode ?? .replicate, every: every,
        onTruncate: onTruncate)
    case (nil, let sqlite?):
      guard let path = reader.text(sqlite, expected: "the path of a database file") else { return nil }
      if mode == .replicate, let place = fields["mode"] {
        reader.report(place, "SQLite keeps no log of changes", suggestion: "use mode: diff")
      }
      return TableCapture(
        .sqlite(path: path), table: table, mode: .diff, every: every, onTruncate: onTruncate)
    default:
      reader.report(
        place, "a capture is from one database",
        suggestion: "name it: postgres: \"${DATABASE_URL}\", or sqlite: shop.db")
      return nil
    }
  }
}
