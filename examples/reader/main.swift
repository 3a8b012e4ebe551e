// A service that reads features: `reader examples/shop.yaml redis://127.0.0.1:6379 u1 u2`. It needs the products
// DefinitionFiles, FeatureCore and OnlineStore of this package, and no Kafka.
import DefinitionFiles
import FeatureCore
import Foundation
import OnlineStore

let arguments = CommandLine.arguments
guard arguments.count > 3 else { fatalError("usage: reader DEFINITIONS REDIS USER...") }
let plan = try DefinitionFile.compile(path: arguments[1])
let reader = try FeatureReader(plan, try RedisOptions(url: arguments[2]))

let users = arguments.dropFirst(3)
let now = EventTime(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
let rows = try await reader.read(view: "user_activity", entities: users.map { [.string(Text($0))] }, at: now)
for (user, row) in zip(users, rows) {
  print(user, try row["clicks_1h"], try row["spend_30d"], try row["last_items_7d"])
}
