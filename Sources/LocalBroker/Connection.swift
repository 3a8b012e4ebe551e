import NIOCore

/// One client: cuts its bytes into frames and answers them one after the other, as Kafka does.
final class Connection: ChannelDuplexHandler, Peer {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = Never
  typealias OutboundOut = ByteBuffer

  /// As Kafka's `socket.request.max.bytes`.
  static let frameBytesMax = 100 << 20
  /// Of a request that brings no records.
  static let plainFrameBytesMax = 8 << 20
  /// With so much unanswered the client isn't read from.
  static let queuedBytesMax = 8 << 20
  /// How long a request may take to arrive, in milliseconds.
  static let arrivalMillisecondsMax: Int64 = 60_000

  private let handler: RequestHandler
  private let server: ServerState
  private var context: ChannelHandlerContext?
  private var received: ByteBuffer?
  private var frames = CircularBuffer<ByteBuffer>()
  private var queuedBytes = 0
  /// The request that is arriving: its length, for which there is room, and since when.
  private var arriving: (length: Int, since: Int64)?
  /// What the request that is being answered takes of the room for requests.
  private var busyBytes = 0
  private var isWaitingForRoom = false
  private var isBusy = false
  private var isReadHeld = false
  private(set) var localHost = "127.0.0.1"
  private(set) var localPort = 0
  private(set) var remoteHost = ""
  private(set) var allocator = ByteBufferAllocator()
  let eventLoop: any EventLoop

  init(_ server: ServerState, eventLoop: any EventLoop) {
    self.server = server
    self.handler = server.handler
    self.eventLoop = eventLoop
  }

  func channelActive(context: ChannelHandlerContext) {
    self.context = context
    allocator = context.channel.allocator
    localHost = context.localAddress?.ipAddress ?? localHost
    localPort = context.localAddress?.port ?? localPort
    remoteHost = context.remoteAddress?.ipAddress ?? ""
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
    handler.forget(self)
    dropRequests()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var incoming = unwrapInboundIn(data)
    if received == nil { received = incoming } else { received?.writeBuffer(&incoming) }
    do { try cutFrames() } catch { fail(error) }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    process()
    context.fireChannelReadComplete()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    process()
    context.fireChannelWritabilityChanged()
  }

  func read(context: ChannelHandlerContext) {
    if mayRead { context.read() } else { isReadHeld = true }
  }

  /// There may be room for a request now.
  func roomWasMade() {
    guard isWaitingForRoom, context != nil else { return }
    isWaitingForRoom = false
    do { try cutFrames() } catch { return fail(error) }
    process()
  }

  /// Ends the connection of a client that doesn't send its request to the end: the room is others'.
  func checkArrival(now: Int64) {
    guard let arriving, now - arriving.since > Self.arrivalMillisecondsMax else { return }
    fail(Malformed(reason: "it did not arrive within \(Self.arrivalMillisecondsMax / 1_000) s"))
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func complete(_ reply: consuming WireWriter) {
    isBusy = false
    release(busyBytes)
    busyBytes = 0
    guard context != nil, server.isHealthy else { return }
    do { try write(reply) } catch { return fail(error) }
    context?.flush()
    guard !frames.isEmpty else { return }
    // Not at once: the caller is amid another client's request.
    eventLoop.assumeIsolated().execute { self.process() }
  }

  private func cutFrames() throws {
    while !isWaitingForRoom,
      let length = received?.getInteger(at: received?.readerIndex ?? 0, as: Int32.self)
    {
      if arriving == nil {
        let api = received?.getInteger(at: (received?.readerIndex ?? 0) + 4, as: Int16.self)
        try check(Int(length), api: api)
        guard api != nil || length < 2 else { break }
        guard server.reserve(Int(length), for: self) else {
          isWaitingForRoom = true
          return
        }
        arriving = (Int(length), handler.clock())
      }
      guard let readable = received?.readableBytes, readable >= 4 + Int(length) else { break }
      received?.moveReaderIndex(forwardBy: 4)
      guard let frame = received?.readSlice(length: Int(length)) else { break }
      arriving = nil
      frames.append(frame)
      queuedBytes += Int(length)
    }
    // A few bytes left over don't keep what they were read with.
    guard let rest = received, rest.readableBytes < rest.capacity / 2 else { return }
    received = rest.readableBytes == 0 ? nil : ByteBuffer(bytes: rest.readableBytesView)
  }

  private func check(_ length: Int, api: Int16?) throws {
    let most = min(
      api ?? API.produce.rawValue == API.produce.rawValue ? Self.frameBytesMax : Self.plainFrameBytesMax,
      server.configuration.requestsBytesMax)
    guard length > 0, length <= most else {
      throw Malformed(reason: "its length is \(length), the most is \(most)")
    }
  }

  private var mayRead: Bool { queuedBytes < Self.queuedBytesMax && !isWaitingForRoom }

  private func release(_ bytes: Int) {
    if bytes > 0 { server.release(bytes) }
  }

  private func dropRequests() {
    let bytes = queuedBytes + busyBytes + (arriving?.length ?? 0)
    frames.removeAll()
    received = nil
    (queuedBytes, busyBytes, arriving, isWaitingForRoom) = (0, 0, nil, false)
    release(bytes)
  }

  private func write(_ reply: consuming WireWriter) throws {
    let frame = try reply.finish()
    guard frame.readableBytes >= Self.countedReplyBytes, let context else {
      context?.write(wrapOutboundOut(frame), promise: nil)
      return
    }
    let bytes = frame.readableBytes
    handler.unsentBytes += bytes
    let sent = context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { [handler] _ in handler.unsentBytes -= bytes }
    context.write(wrapOutboundOut(frame), promise: sent)
  }

  /// Smaller replies are bounded by the connection's own mark.
  private static let countedReplyBytes = 64 << 10

  private func process() {
    guard let context else { return }
    var hasWritten = false
    while !isBusy, context.channel.isWritable, let frame = frames.popFirst() {
      queuedBytes -= frame.readableBytes
      busyBytes = frame.readableBytes
      isBusy = true
      do {
        let outcome = try handler.handle(frame, from: self)
        guard server.isHealthy else { return }
        switch outcome {
        case .reply(let writer):
          hasWritten = true
          try write(writer)
          isBusy = false
        case .silent: isBusy = false
        case .later: break
        }
        if !isBusy {
          release(busyBytes)
          busyBytes = 0
        }
      } catch {
        fail(error)
        break
      }
    }
    if hasWritten { context.flush() }
    if isReadHeld && mayRead {
      isReadHeld = false
      context.read()
    }
  }

  private func fail(_ error: any Error) {
    let reason = (error as? Malformed)?.reason ?? "\(error)"
    server.configuration.log("closing the connection from \(remoteHost): bad request, \(reason)")
    isBusy = true
    dropRequests()
    context?.close(promise: nil)
  }
}
