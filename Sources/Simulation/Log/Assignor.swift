import BrokerCore
import Processor

/// The group's protocol as the members' clients speak it: who owns what, and how a leader shares the partitions out.
/// Cooperative and sticky: what moves is given up first, and assigned in a next rebalance.
enum Assignor {
  static let protocolName = "cooperative-sticky"

  static func metadata(owned: [Place], generation: Int32) -> [UInt8] {
    Array("\(generation);\(text(owned))".utf8)
  }

  static func encode(_ places: [Place]) -> [UInt8] { Array(text(places).utf8) }

  static func decode(_ bytes: some Sequence<UInt8>) -> [Place] {
    String(decoding: Array(bytes), as: UTF8.self).split(separator: ",").compactMap { item in
      guard let colon = item.lastIndex(of: ":"), let partition = Int32(item[item.index(after: colon)...])
      else {
        return nil
      }
      return Place(String(item[..<colon]), partition)
    }
  }

  /// The share of each member.
  static func share(_ partitions: [Place], _ members: [JoinReply.Member]) -> [String: [Place]] {
    let owners = owners(members)
    let ids = members.map(\.id).sorted()
    let most = (partitions.count + ids.count - 1) / ids.count
    var shares = Dictionary(uniqueKeysWithValues: ids.map { ($0, [Place]()) })
    var free: [Place] = []
    for place in partitions {
      if let owner = owners[place], let share = shares[owner], share.count < most {
        shares[owner]?.append(place)
      } else {
        free.append(place)
      }
    }
    for place in free {
      guard let least = ids.min(by: { (shares[$0]?.count ?? 0, $0) < (shares[$1]?.count ?? 0, $1) }) else {
        break
      }
      // Withheld until its owner has given it up.
      if let owner = owners[place], owner != least { continue }
      shares[least]?.append(place)
    }
    return shares
  }

  /// Of two that say they own a partition, the one of the later generation does.
  private static func owners(_ members: [JoinReply.Member]) -> [Place: String] {
    var owners: [Place: (id: String, generation: Int32)] = [:]
    for member in members {
      let parts = member.metadata.split(
        separator: UInt8(ascii: ";"), maxSplits: 1, omittingEmptySubsequences: false)
      let generation = Int32(String(decoding: parts[0], as: UTF8.self)) ?? -1
      for place in decode(parts[1]) where generation > owners[place]?.generation ?? -2 {
        owners[place] = (member.id, generation)
      }
    }
    return owners.mapValues(\.id)
  }

  private static func text(_ places: [Place]) -> String {
    places.sorted().map { "\($0.topic):\($0.partition)" }.joined(separator: ",")
  }
}
