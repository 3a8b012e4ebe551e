import Processor

/// Asks sentinels which server is the primary.
///
/// They may be wrong for a moment, so the caller asks the server for its role too. What a primary that lost its office has
/// accepted meanwhile is lost when it comes back as a replica; the tasks' positions show that.
final class Sentinels {
  private let addresses: [RedisOptions.HostAndPort]
  private let primaryName: String
  private let options: RedisOptions
  /// The one that answered last is asked first.
  private var first = 0

  /// Nil if the options name none.
  init?(_ options: RedisOptions) {
    guard case .sentinel(let addresses, let primary) = options.endpoint else { return nil }
    self.addresses = addresses
    primaryName = primary
    var impatient = options
    impatient.commandTimeoutMilliseconds = options.connectTimeoutMilliseconds
    self.options = impatient
  }

  /// The primary's address, from the first sentinel that knows it.
  func primary() throws(StoreError) -> RedisOptions.Endpoint {
    var failures: [StoreError] = []
    for offset in addresses.indices {
      let index = (first + offset) % addresses.count
      do throws(StoreError) {
        let found = try ask(addresses[index])
        first = index
        return found
      } catch {
        failures.append(error)
      }
    }
    // A name that none of them has ever heard of is a mistake, and so is a password that all refuse.
    let remedy: StoreError.Remedy = failures.allSatisfy { $0.remedy == .fatal } ? .fatal : .retry
    throw StoreError(remedy, failures.map(\.message).joined(separator: "; "))
  }

  private enum Answer {
    case address(host: String, port: Int32)
    case unknown
    case refused(String)

    init(_ value: RedisValue) {
      if let error = value.error {
        self = .refused(error)
      } else if value.count == 2, let port = Int32(value[1].text) {
        self = .address(host: value[0].text, port: port)
      } else {
        self = .unknown
      }
    }
  }

  private func ask(_ address: RedisOptions.HostAndPort) throws(StoreError) -> RedisOptions.Endpoint {
    let doing = "ask for the primary '\(primaryName)'"
    let place = "sentinel \(address)"
    let answer: Answer
    do throws(ConnectionLoss) {
      answer = try reply(of: address)
    } catch {
      throw StoreError(.retry, "\(doing) at \(place): \(error.reason)")
    }
    switch answer {
    case .address(let host, let port): return .tcp(host: host, port: port)
    case .unknown:
      throw StoreError(.fatal, "\(doing) at \(place): it knows none of this name: see SENTINEL MASTERS")
    case .refused(let reply):
      let error = RedisFailure.error(reply: reply, doing: doing, at: place)
      let message = options.sentinelPassword?.masked(in: error.message) ?? error.message
      let advice = "; sentinels have a password of their own: sentinel_password="
      throw StoreError(error.remedy, error.remedy == .fatal ? message + advice : message)
    }
  }

  private func reply(of address: RedisOptions.HostAndPort) throws(ConnectionLoss) -> Answer {
    var commands = CommandBuffer()
    if let password = options.sentinelPassword { commands.authenticate(options.sentinelUser, password) }
    commands.begin("SENTINEL", arguments: 3)
    commands.append("GET-MASTER-ADDR-BY-NAME")
    commands.append(primaryName)
    let connection = try RedisConnection(.tcp(host: address.host, port: address.port), options)
    try connection.send(commands)
    var answer = Answer.unknown
    for _ in 0..<commands.count {
      answer = try connection.receive().read { Answer($0) }
      // AUTH's: what follows would only say that it failed.
      if case .refused = answer { break }
    }
    return answer
  }
}
