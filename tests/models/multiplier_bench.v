// Compares the two versions of the registered multiplier, and both with a model of two registers,
// over all pairs of factors (or, where those are too many, over random ones), with random enables.
// Prints the counts and comes to rest; several benches may stand side by side in one simulation.
`timescale 1ns / 1ps
module multiplier_bench #(
    parameter A_WIDTH = 8, parameter A_SIGNED = 0, parameter B_WIDTH = 8, parameter B_SIGNED = 1,
    parameter PAIRS = 65536, parameter ALL = 1
);
    localparam W = A_WIDTH + B_WIDTH;
    reg clk = 0, en = 0;
    reg [A_WIDTH-1:0] a = 0;
    reg [B_WIDTH-1:0] b = 0;
    wire [W-1:0] portable, device;
    cs_registered_multiplier_portable #(.A_WIDTH(A_WIDTH), .A_SIGNED(A_SIGNED), .B_WIDTH(B_WIDTH), .B_SIGNED(B_SIGNED))
        first (.clk(clk), .en(en), .a(a), .b(b), .o(portable));
    cs_registered_multiplier #(.A_WIDTH(A_WIDTH), .A_SIGNED(A_SIGNED), .B_WIDTH(B_WIDTH), .B_SIGNED(B_SIGNED))
        second (.clk(clk), .en(en), .a(a), .b(b), .o(device));

    reg signed [63:0] x, y;
    reg [63:0] one_ago = 0, two_ago = 0;
    integer pair = 0, enabled = 0, compared = 0, errors = 0;
    initial begin
        while (pair < PAIRS + 2) begin
            en = ($random & 3) != 0;
            if (en || ALL == 0) begin
                if (ALL != 0) {a, b} = pair;
                else begin
                    a = {$random, $random};
                    b = {$random, $random};
                    if (($random & 7) == 0) a = {1'b1, {A_WIDTH{1'b0}}} >> 1;
                    if (($random & 7) == 0) b = {1'b1, {B_WIDTH{1'b0}}} >> 1;
                end
            end
            #5 clk = 1;
            #1;
            if (en) begin
                pair = pair + 1;
                enabled = enabled + 1;
                two_ago = one_ago;
                x = a;
                y = b;
                if (A_SIGNED != 0 && a[A_WIDTH-1]) x = x - (64'd1 << A_WIDTH);
                if (B_SIGNED != 0 && b[B_WIDTH-1]) y = y - (64'd1 << B_WIDTH);
                one_ago = x * y;
            end
            if (enabled >= 2) begin
                compared = compared + 1;
                if (portable !== two_ago[W-1:0] || device !== two_ago[W-1:0]) errors = errors + 1;
            end
            #4 clk = 0;
        end
        $display("%m: compared %0d errors %0d", compared, errors);
    end
endmodule
