import COpenSSL
import NIOCore

/// TLS between a socket and what speaks over it: OpenSSL works on memory, the channel moves the bytes. Nothing is written
/// before the handshake: the server speaks when it is asked.
final class TLSServerHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Of a record of TLS.
  private static let recordBytesMax = 16_384

  private let ssl: OpaquePointer
  /// From the socket, and to it. OpenSSL owns both.
  private let incoming: OpaquePointer
  private let outgoing: OpaquePointer
  private var isShaken = false
  private var isOver = false

  init(owning ssl: OpaquePointer) {
    guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
      preconditionFailure("Cannot allocate the buffers of a TLS connection")
    }
    self.ssl = ssl
    self.incoming = incoming
    self.outgoing = outgoing
    SSL_set_bio(ssl, incoming, outgoing)
    SSL_set_accept_state(ssl)
  }

  deinit { SSL_free(ssl) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isOver else { return }
    // Errors of others on this thread would be taken for ours.
    ERR_clear_error()
    unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
      _ = BIO_write(incoming, bytes.baseAddress, Int32(clamping: bytes.count))
    }
    if !isShaken {
      let code = SSL_do_handshake(ssl)
      isShaken = code == 1
      let kind = SSL_get_error(ssl, code)
      send(context, promise: nil)
      context.flush()
      guard isShaken else {
        if kind != SSL_ERROR_WANT_READ { end(context) }
        return
      }
    }
    receive(context)
  }

  private func receive(_ context: ChannelHandlerContext) {
    while !isOver {
      var buffer = context.channel.allocator.buffer(capacity: Self.recordBytesMax)
      var code: Int32 = 0
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.recordBytesMax) { bytes in
        var count = 0
        code = SSL_read_ex(ssl, bytes.baseAddress, bytes.count, &count)
        return code == 1 ? count : 0
      }
      guard code == 1 else {
        let kind = SSL_get_error(ssl, code)
        // A client that changes its keys is answered.
        if send(context, promise: nil) { context.flush() }
        if kind != SSL_ERROR_WANT_READ { end(context) }
        return
      }
      context.fireChannelRead(wrapInboundOut(buffer))
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let buffer = unwrapOutboundIn(data)
    guard isShaken, !isOver else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    guard buffer.readableBytes > 0 else { return context.write(data, promise: promise) }
    ERR_clear_error()
    let isTaken = buffer.withUnsafeReadableBytes { bytes in
      var count = 0
      return SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count) == 1 && count == bytes.count
    }
    guard isTaken else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return end(context)
    }
    if !send(context, promise: promise) { promise?.succeed() }
  }

  /// Writes what OpenSSL has for the socket; false if there is nothing.
  @discardableResult
  private func send(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) -> Bool {
    let count = BIO_ctrl_pending(outgoing)
    guard count > 0 else { return false }
    var buffer = context.channel.allocator.buffer(capacity: count)
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
      Int(max(0, BIO_read(outgoing, bytes.baseAddress, Int32(clamping: count))))
    }
    context.write(wrapOutboundOut(buffer), promise: promise)
    return true
  }

  private func end(_ context: ChannelHandlerContext) {
    guard !isOver else { return }
    context.close(promise: nil)
    isOver = true
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if !isOver {
      isOver = true
      ERR_clear_error()
      if isShaken { SSL_shutdown(ssl) }
      if send(context, promise: nil) { context.flush() }
    }
    context.close(mode: mode, promise: promise)
  }
}
