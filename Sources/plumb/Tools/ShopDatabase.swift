import Capture
import Clickstream
import Processor
import SQLiteTables

/// The shop's users and items in a database of SQLite.
enum ShopDatabase {
  private static let schema = """
    PRAGMA journal_mode = WAL;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS users
      (user_id TEXT PRIMARY KEY, country TEXT NOT NULL, tier TEXT NOT NULL, signup INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS items
      (item_id TEXT PRIMARY KEY, category TEXT NOT NULL, brand TEXT NOT NULL, price REAL NOT NULL, in_stock INTEGER NOT NULL);
    """

  /// Makes the tables, or changes some of their rows: what the next generation does, in one transaction. Returns a line for
  /// people.
  static func advance(_ path: String, _ tables: ShopTables) throws(ProcessorError) -> String {
    do throws(CaptureError) { return try write(path, tables) } catch {
      throw ProcessorError(remedy: .stop, description: error.description)
    }
  }

  private static func write(_ path: String, _ tables: ShopTables) throws(CaptureError) -> String {
    let database = try SQLiteWriter(path: path)
    try database.execute(schema)
    // Generations that there have been; a new database has had none.
    let generation = Int(try database.number("PRAGMA user_version") ?? 0)
    let user = try database.prepare("INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?)")
    let item = try database.prepare("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)")
    let leave = try database.prepare("DELETE FROM users WHERE user_id = ?")
    var (users, items) = (0, 0)
    for rank in 1...tables.userCount {
      switch tables.user(rank, generation: generation) {
      case .none: continue
      case .gone: try leave.run([.text("u\(rank)")])
      case .row(let row):
        try user.run([.text(row.id), .text(row.country), .text(row.tier), .integer(row.signupSeconds)])
      }
      users += 1
    }
    for rank in 1...tables.itemCount {
      guard case .row(let row) = tables.item(rank, generation: generation) else { continue }
      try item.run([
        .text(row.id), .text(row.category), .text(row.brand), .real(Double(row.priceCents) / 100),
        .integer(row.isInStock ? 1 : 0),
      ])
      items += 1
    }
    try database.execute("PRAGMA user_version = \(generation + 1); COMMIT")
    return
      "\(path): generation \(generation) \(generation == 0 ? "made" : "changed") \(counted(users, "user")) and \(counted(items, "item"))"
  }
}
